#include "broker/audit/audit_broker.h"

#include <fmt/format.h>

#include <charconv>
#include <mutex>

#include "base/encoding.h"

namespace curfew::broker {
namespace {

constexpr std::string_view kScope = "sys/audit";
constexpr std::size_t kDevicesMax = 16;

Error invalid(std::string message) {
  return {Errc::kInvalidArgument, std::move(message)};
}

// The options of a file device, checked.
struct FileOptions {
  std::string path;
  mode_t mode = 0600;
  bool raw = false;
  bool hash_accessors = true;
  std::string prefix;
};

Result<bool> boolean_option(const std::string& name, const std::string& value) {
  if (value == "true" || value == "1") return true;
  if (value == "false" || value == "0" || value.empty()) return false;
  return invalid(fmt::format("audit option \"{}\": expected true or false", name));
}

Result<mode_t> mode_option(const std::string& value) {
  unsigned mode = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), mode, 8);
  if (error != std::errc{} || end != value.data() + value.size() || mode > 0777)
    return invalid("audit option \"mode\": expected octal permissions such as 0600");
  return mode == 0 ? mode_t{0600} : static_cast<mode_t>(mode);
}

Result<FileOptions> file_options(const std::map<std::string, std::string>& options) {
  FileOptions out;
  for (const auto& [name, value] : options) {
    if (name == "file_path" || name == "path") {
      out.path = value;
    } else if (name == "mode") {
      ASSIGN_OR_RETURN(out.mode, mode_option(value));
    } else if (name == "log_raw") {
      ASSIGN_OR_RETURN(out.raw, boolean_option(name, value));
    } else if (name == "hmac_accessor") {
      ASSIGN_OR_RETURN(out.hash_accessors, boolean_option(name, value));
    } else if (name == "prefix") {
      out.prefix = value;
    } else if (name == "format") {
      if (value != "json") return invalid("audit option \"format\": only \"json\" is supported");
    } else {
      return invalid(
          fmt::format("unknown audit option \"{}\": expected file_path, mode, log_raw, "
                      "hmac_accessor, prefix or format",
                      name));
    }
  }
  if (out.path.empty()) return invalid("audit option \"file_path\" is required");
  if (out.path != "stdout" && out.path != "discard" && out.path.front() != '/')
    return invalid("audit option \"file_path\": expected an absolute path, stdout or discard");
  return out;
}

Json to_stored(const AuditDeviceInfo& info, const std::string& salt) {
  return {{"type", info.type},
          {"description", info.description},
          {"options", info.options},
          {"local", info.local},
          {"salt", hex_encode(salt)}};
}

}  // namespace

AuditBroker::AuditBroker(store::Database& database, const store::Records& records, Random& random,
                         Log& log, AuditNamespace name_space, AuditBroker* above)
    : database_(database),
      records_(records),
      random_(random),
      log_(log),
      name_space_(std::move(name_space)),
      above_(above) {}

Result<std::shared_ptr<AuditBroker::Device>> AuditBroker::make_device(AuditDeviceInfo info,
                                                                      const Secret& salt) const {
  if (info.type != "file")
    return invalid(fmt::format("unknown audit device type \"{}\": expected \"file\"", info.type));
  ASSIGN_OR_RETURN(FileOptions options, file_options(info.options));
  return std::shared_ptr<Device>(
      new Device{std::move(info), AuditHasher(salt, options.raw, options.hash_accessors),
                 std::move(options.prefix), FileDevice(options.path, options.mode)});
}

Status AuditBroker::load() {
  std::map<std::string, std::shared_ptr<Device>> loaded;
  RETURN_IF_ERROR(database_.read([&](const store::Reader& reader) -> Status {
    ASSIGN_OR_RETURN(const auto names, records_.names(reader, kScope));
    for (const std::string& name : names) {
      ASSIGN_OR_RETURN(const auto stored, records_.get(reader, kScope, name));
      if (!stored) continue;
      AuditDeviceInfo info{name, stored->at("type").get<std::string>(),
                           stored->at("description").get<std::string>(),
                           stored->at("options").get<std::map<std::string, std::string>>(),
                           stored->at("local").get<bool>()};
      const Secret salt(hex_decode(stored->at("salt").get<std::string>()).value_or(""));
      ASSIGN_OR_RETURN(loaded[name], make_device(std::move(info), salt));
    }
    return ok();
  }));
  for (const auto& [name, device] : loaded) {
    const Status opened = device->file.open();
    if (!opened)
      log_.error("audit device not ready", {{"device", name}, {"error", opened.error().message}});
  }
  const std::unique_lock lock(mutex_);
  devices_ = std::move(loaded);
  loaded_ = true;
  return ok();
}

void AuditBroker::unload() {
  const std::unique_lock lock(mutex_);
  devices_.clear();
  loaded_ = false;
}

std::optional<std::vector<std::shared_ptr<AuditBroker::Device>>> AuditBroker::loaded_devices()
    const {
  const std::shared_lock lock(mutex_);
  if (!loaded_) return std::nullopt;
  std::vector<std::shared_ptr<Device>> out;
  for (const auto& [name, device] : devices_) out.push_back(device);
  return out;
}

bool AuditBroker::is_on() const {
  {
    const std::shared_lock lock(mutex_);
    if (!loaded_ || !devices_.empty()) return true;
  }
  return above_ != nullptr && above_->is_on();
}

std::vector<std::shared_ptr<AuditBroker::Device>> AuditBroker::devices() const {
  return loaded_devices().value_or(std::vector<std::shared_ptr<Device>>{});
}

Status AuditBroker::write_to_own(const Render& render) const {
  // No device is not the same as not knowing the devices.
  const auto all = loaded_devices();
  if (!all) return Error{Errc::kSealed, "Vault is sealed"};
  bool written = all->empty();
  std::string failures;
  for (const auto& device : *all) {
    const Status status = device->file.write(device->prefix + render(device->hasher) + "\n");
    if (status) {
      written = true;
      continue;
    }
    log_.error("audit device failed",
               {{"device", device->info.path}, {"error", status.error().message}});
    if (!failures.empty()) failures += "; ";
    failures += device->info.path + ": " + status.error().message;
  }
  if (written) return ok();
  return Error{Errc::kInternal, failures};
}

// Those above first: what they do not take must not stand in the namespace's own log as done.
Status AuditBroker::write_to_all(const Render& render) const {
  const Status taken = above_ != nullptr ? above_->write_to_all(render) : ok();
  if (!taken && taken.error().code == Errc::kInternal)
    return Error{Errc::kInternal, "the server's audit log does not take it; ask its operator"};
  if (!taken) return taken;
  return write_to_own(render);
}

Status AuditBroker::write(const AuditEntry& entry) {
  Status written =
      write_to_all([&](const AuditHasher& hasher) { return render_audit_entry(entry, hasher); });
  if (!written && written.error().code == Errc::kInternal)
    return Error{Errc::kInternal, "the request was refused because it could not be audited (" +
                                      written.error().message +
                                      "). Repair the audit device, or disable it with: curfew "
                                      "audit disable <path>"};
  return written;
}

Status AuditBroker::write_end(WallTime time, const Json& lease) {
  return write_to_all([&](const AuditHasher& hasher) {
    return render_audit_end(time, name_space_, lease, hasher);
  });
}

Status AuditBroker::enable(AuditDeviceInfo info) {
  if (info.path.empty() || info.path == "/") return invalid("the audit device needs a path");
  if (!info.path.ends_with('/')) info.path += '/';
  const std::string path = info.path;
  const std::string salt = random_bytes(random_, 32);
  const Json stored = to_stored(info, salt);
  ASSIGN_OR_RETURN(auto device, make_device(std::move(info), Secret(salt)));
  const std::unique_lock lock(mutex_);
  if (devices_.contains(path)) return invalid(fmt::format("path already in use: {}", path));
  if (devices_.size() >= kDevicesMax) return invalid("too many audit devices: 16 at the most");
  const Status opened = device->file.open();
  if (!opened) return invalid(opened.error().message);
  RETURN_IF_ERROR(database_.write(
      [&](store::Writer& writer) -> Status { return records_.put(writer, kScope, path, stored); }));
  devices_[path] = std::move(device);
  return ok();
}

Status AuditBroker::disable(const std::string& path) {
  const std::string name = path.ends_with('/') ? path : path + '/';
  const std::unique_lock lock(mutex_);
  RETURN_IF_ERROR(database_.write([&](store::Writer& writer) -> Status {
    RETURN_IF_ERROR(records_.remove(writer, kScope, name));
    return ok();
  }));
  devices_.erase(name);
  return ok();
}

std::vector<AuditDeviceInfo> AuditBroker::list() const {
  std::vector<AuditDeviceInfo> out;
  for (const auto& device : devices()) out.push_back(device->info);
  return out;
}

Result<std::string> AuditBroker::hash(const std::string& path, std::string_view input) const {
  const std::string name = path.ends_with('/') ? path : path + '/';
  const std::shared_lock lock(mutex_);
  const auto it = devices_.find(name);
  if (it == devices_.end()) return invalid(fmt::format("unknown audit device \"{}\"", name));
  return it->second->hasher.hash(input);
}

void AuditBroker::reopen() {
  for (const auto& device : devices()) device->file.reopen();
}

}  // namespace curfew::broker
