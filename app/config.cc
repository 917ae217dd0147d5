#include "app/config.h"

#include <fmt/format.h>

#include <charconv>
#include <fstream>
#include <sstream>

#include "base/encoding.h"
#include "base/hcl.h"
#include "base/hcl_section.h"
#include "store/pkcs11_token.h"

namespace curfew::app {
namespace {

constexpr std::uint16_t kDefaultPort = 8200;

struct ClientTrust {
  std::string ca_file;
  api::ClientCertificates asked = api::ClientCertificates::kAsked;
};

Result<ClientTrust> read_client_trust(hcl::Section& section) {
  ClientTrust clients;
  ASSIGN_OR_RETURN(clients.ca_file, section.text_or("tls_client_ca_file", ""));
  ASSIGN_OR_RETURN(const bool required,
                   section.boolean_or("tls_require_and_verify_client_cert", false));
  ASSIGN_OR_RETURN(const bool off, section.boolean_or("tls_disable_client_certs", false));
  if (required && off)
    return section.error("tls_disable_client_certs",
                         "contradicts tls_require_and_verify_client_cert: leave one out");
  if (required && clients.ca_file.empty())
    return section.error("tls_require_and_verify_client_cert",
                         "expected tls_client_ca_file, which says whose certificates are believed");
  if (required) clients.asked = api::ClientCertificates::kRequired;
  if (off) clients.asked = api::ClientCertificates::kOff;
  return clients;
}

Result<api::ListenerOptions> read_listener(const hcl::Block& block) {
  hcl::Section section(*block.body, "listener \"tcp\"");
  if (block.label != "tcp")
    return hcl::error_at(
        block.at, fmt::format("unknown listener type \"{}\": expected \"tcp\"", block.label));
  ASSIGN_OR_RETURN(const std::string address, section.text_or("address", "127.0.0.1:8200"));
  auto listener = parse_address(address);
  if (!listener) return section.error("address", listener.error().message);
  ASSIGN_OR_RETURN(const bool plain, section.boolean_or("tls_disable", false));
  ASSIGN_OR_RETURN(const std::string certificate, section.text_or("tls_cert_file", ""));
  ASSIGN_OR_RETURN(const std::string key, section.text_or("tls_key_file", ""));
  ASSIGN_OR_RETURN(const ClientTrust clients, read_client_trust(section));
  RETURN_IF_ERROR(section.finish());
  if (plain && !(certificate.empty() && key.empty()))
    return section.error("tls_disable",
                         "contradicts tls_cert_file and tls_key_file: leave one out");
  if (plain && clients.asked != api::ClientCertificates::kAsked)
    return section.error("tls_disable", "without TLS there are no client certificates");
  if (plain) return listener;
  if (certificate.empty() || key.empty())
    return section.error("tls_cert_file",
                         "expected tls_cert_file and tls_key_file, or tls_disable = true");
  listener->tls = api::TlsFiles{certificate, key, clients.ca_file, clients.asked};
  return listener;
}

Result<std::string> read_storage(const hcl::Block& block) {
  hcl::Section section(*block.body, "storage \"sqlite\"");
  if (block.label != "sqlite")
    return hcl::error_at(
        block.at, fmt::format("unknown storage type \"{}\": expected \"sqlite\"", block.label));
  ASSIGN_OR_RETURN(const std::string path, section.text_or("path", ""));
  RETURN_IF_ERROR(section.finish());
  if (path.empty()) return section.error("path", "expected the path of the database file");
  return path;
}

Result<store::Pkcs11Options> read_pkcs11(hcl::Section& section) {
  store::Pkcs11Options options;
  ASSIGN_OR_RETURN(options.library, section.text_or("lib", ""));
  if (options.library.empty() || options.library.front() != '/')
    return section.error("lib", "expected the absolute path of the PKCS#11 module");
  ASSIGN_OR_RETURN(options.token_label, section.text_or("token_label", ""));
  ASSIGN_OR_RETURN(const std::int64_t slot, section.integer_or("slot", -1));
  if ((slot >= 0) == !options.token_label.empty())
    return section.error("token_label", "expected either token_label or slot (a number)");
  if (slot >= 0) options.slot = static_cast<std::uint64_t>(slot);
  ASSIGN_OR_RETURN(const std::string pin, section.text_or("pin", ""));
  options.pin = Secret(pin);
  ASSIGN_OR_RETURN(options.pin_file, section.text_or("pin_file", ""));
  if (!options.pin.empty() && !options.pin_file.empty())
    return section.error("pin", "contradicts pin_file: leave one out");
  ASSIGN_OR_RETURN(options.key_label, section.text_or("key_label", ""));
  ASSIGN_OR_RETURN(const std::string id, section.text_or("key_id", ""));
  const auto bytes = hex_decode(id);
  if (!bytes) return section.error("key_id", "expected hexadecimal digits, such as \"01af\"");
  options.key_id = *bytes;
  if (options.key_label.empty() && options.key_id.empty())
    return section.error("key_label", "expected key_label, key_id or both");
  ASSIGN_OR_RETURN(options.mechanism, section.text_or("mechanism", options.mechanism));
  if (!store::pkcs11_mechanism_of(options.mechanism))
    return section.error("mechanism", "expected \"aes-gcm\" or \"aes-cbc-pad\"");
  ASSIGN_OR_RETURN(options.generate_key, section.boolean_or("generate_key", false));
  return options;
}

// A seal, and whether it is the one of before (disabled = true).
Result<std::pair<store::SealOptions, bool>> read_seal(const hcl::Block& block) {
  hcl::Section section(*block.body, fmt::format("seal \"{}\"", block.label));
  const auto kind = store::seal_kind_of(block.label);
  if (!kind)
    return hcl::error_at(block.at,
                         fmt::format("unknown seal type \"{}\": expected \"shamir\", \"file\", "
                                     "\"env\" or \"pkcs11\"",
                                     block.label));
  store::SealOptions options{.kind = *kind};
  if (*kind == store::SealKind::kFile) {
    ASSIGN_OR_RETURN(options.key_file, section.text_or("path", ""));
    if (options.key_file.empty()) return section.error("path", "expected the path of the key file");
  }
  if (*kind == store::SealKind::kEnv) {
    ASSIGN_OR_RETURN(options.environment, section.text_or("variable", options.environment));
  }
  if (*kind == store::SealKind::kPkcs11) {
    ASSIGN_OR_RETURN(options.pkcs11, read_pkcs11(section));
  }
  ASSIGN_OR_RETURN(const bool disabled, section.boolean_or("disabled", false));
  RETURN_IF_ERROR(section.finish());
  return std::pair{std::move(options), disabled};
}

// One seal, and beside it at most one to migrate from.
Status read_seals(const std::vector<hcl::Block>& blocks, ServerConfig& config) {
  bool has_seal = false;
  for (const hcl::Block& block : blocks) {
    ASSIGN_OR_RETURN(auto seal, read_seal(block));
    auto& [options, disabled] = seal;
    if (disabled ? config.old_seal.has_value() : has_seal)
      return hcl::error_at(block.at,
                           disabled ? "a second seal with disabled = true: expected one at most"
                                    : "a second seal: expected one; the one to migrate from has "
                                      "disabled = true");
    if (disabled) {
      config.old_seal = std::move(options);
    } else {
      has_seal = true;
      config.seal = std::move(options);
    }
  }
  return ok();
}

Status read_retry(const hcl::Block& block, ServerConfig& config) {
  hcl::Section section(*block.body, "retry");
  ASSIGN_OR_RETURN(config.retry.window, section.duration_or("window", config.retry.window));
  ASSIGN_OR_RETURN(config.retry.key_window,
                   section.duration_or("idempotency_window", config.retry.key_window));
  return section.finish();
}

// What becomes of leases that have ended, and how stubbornly they are ended.
Status read_lease(const hcl::Block& block, ServerConfig& config) {
  hcl::Section section(*block.body, "lease");
  ASSIGN_OR_RETURN(config.lease_ends.retention,
                   section.duration_or("retention", config.lease_ends.retention));
  ASSIGN_OR_RETURN(config.lease_ends.archive_file, section.text_or("archive_file", ""));
  const bool has_file = !config.lease_ends.archive_file.empty();
  ASSIGN_OR_RETURN(const std::string ended,
                   section.text_or("ended", has_file ? "archive" : "drop"));
  if (ended != "archive" && ended != "drop")
    return section.error("ended", "expected \"archive\" or \"drop\"");
  if (has_file != (ended == "archive"))
    return section.error("ended", "\"archive\" and archive_file belong together");
  if (has_file && config.lease_ends.archive_file.front() != '/')
    return section.error("archive_file", "expected an absolute path");
  ASSIGN_OR_RETURN(config.max_attempts, section.integer_or("max_attempts", 0));
  if (config.max_attempts < 0) return section.error("max_attempts", "expected 0 (none) or more");
  return section.finish();
}

Status read_reconcile(const hcl::Block& block, ServerConfig& config) {
  hcl::Section section(*block.body, "reconcile");
  ASSIGN_OR_RETURN(config.reconcile.interval,
                   section.duration_or("interval", config.reconcile.interval));
  ASSIGN_OR_RETURN(const bool repair, section.boolean_or("repair", false));
  if (repair) config.reconcile.repair = broker::Repair::kAll;
  ASSIGN_OR_RETURN(config.marker_interval,
                   section.duration_or("marker_interval", config.marker_interval));
  if (config.marker_interval < Seconds{1} || config.marker_interval > std::chrono::hours{1})
    return section.error("marker_interval", "expected a duration from 1s to 1h");
  return section.finish();
}

// The one block of a kind that there may be. nullptr: none.
Result<const hcl::Block*> only_one(const std::vector<hcl::Block>& blocks, std::string_view name) {
  if (blocks.size() > 1)
    return hcl::error_at(blocks[1].at, fmt::format("a second \"{}\": expected one", name));
  return blocks.empty() ? nullptr : &blocks.front();
}

}  // namespace

Result<LogLevel> parse_log_level(std::string_view name) {
  if (name == "trace") return LogLevel::kTrace;
  if (name == "debug") return LogLevel::kDebug;
  if (name == "info") return LogLevel::kInfo;
  if (name == "warn") return LogLevel::kWarn;
  if (name == "error") return LogLevel::kError;
  return Error{
      Errc::kInvalidArgument,
      fmt::format("unknown log level \"{}\": expected trace, debug, info, warn or error", name)};
}

Result<api::ListenerOptions> parse_address(std::string_view text) {
  const Error bad{
      Errc::kInvalidArgument,
      fmt::format("invalid address \"{}\": expected host:port, such as 127.0.0.1:8200", text)};
  api::ListenerOptions listener;
  listener.port = kDefaultPort;
  std::string_view host = text, port;
  const bool bracketed = text.starts_with('[');
  const auto colon = text.rfind(':');
  if (bracketed) {
    const auto end = text.find(']');
    if (end == std::string_view::npos) return bad;
    host = text.substr(1, end - 1);
    if (end + 1 < text.size()) {
      if (text[end + 1] != ':') return bad;
      port = text.substr(end + 2);
    }
  } else if (colon != std::string_view::npos) {
    host = text.substr(0, colon);
    port = text.substr(colon + 1);
    if (host.find(':') != std::string_view::npos) return bad;
  }
  if (!port.empty()) {
    const auto [end, error] =
        std::from_chars(port.data(), port.data() + port.size(), listener.port);
    if (error != std::errc{} || end != port.data() + port.size()) return bad;
  }
  listener.address = host.empty() ? "0.0.0.0" : std::string(host);
  return listener;
}

Result<ServerConfig> parse_config(std::string_view text) {
  ASSIGN_OR_RETURN(const hcl::Value root, hcl::parse(text));
  hcl::Section section(root, "");
  ServerConfig config;
  ASSIGN_OR_RETURN(const auto listeners, section.labelled_blocks("listener"));
  for (const hcl::Block& block : listeners) {
    ASSIGN_OR_RETURN(auto listener, read_listener(block));
    config.listeners.push_back(std::move(listener));
  }
  if (config.listeners.empty())
    return section.error("listener", "expected at least one: listener \"tcp\" { … }");
  ASSIGN_OR_RETURN(const auto storages, section.labelled_blocks("storage"));
  ASSIGN_OR_RETURN(const hcl::Block* storage, only_one(storages, "storage"));
  if (storage == nullptr)
    return section.error("storage", "expected storage \"sqlite\" { path = … }");
  ASSIGN_OR_RETURN(config.storage_path, read_storage(*storage));
  ASSIGN_OR_RETURN(const auto seals, section.labelled_blocks("seal"));
  RETURN_IF_ERROR(read_seals(seals, config));
  ASSIGN_OR_RETURN(const auto telemetry, section.block("telemetry"));
  if (telemetry) {
    hcl::Section figures(*telemetry->body, "telemetry");
    ASSIGN_OR_RETURN(config.open_metrics,
                     figures.boolean_or("unauthenticated_metrics_access", false));
    RETURN_IF_ERROR(figures.finish());
  }
  ASSIGN_OR_RETURN(const auto lease, section.block("lease"));
  if (lease) RETURN_IF_ERROR(read_lease(*lease, config));
  ASSIGN_OR_RETURN(const auto clock, section.block("clock"));
  if (clock) {
    hcl::Section limits(*clock->body, "clock");
    ASSIGN_OR_RETURN(config.clock_jump_max, limits.duration_or("jump_max", config.clock_jump_max));
    RETURN_IF_ERROR(limits.finish());
  }
  ASSIGN_OR_RETURN(const auto retry, section.block("retry"));
  if (retry) RETURN_IF_ERROR(read_retry(*retry, config));
  ASSIGN_OR_RETURN(const auto reconcile, section.block("reconcile"));
  if (reconcile) RETURN_IF_ERROR(read_reconcile(*reconcile, config));
  ASSIGN_OR_RETURN(const std::string level, section.text_or("log_level", "info"));
  const auto parsed = parse_log_level(level);
  if (!parsed) return section.error("log_level", parsed.error().message);
  config.log_level = *parsed;
  ASSIGN_OR_RETURN(const std::string format, section.text_or("log_format", "text"));
  if (format != "text" && format != "json")
    return section.error("log_format", "expected \"text\" or \"json\"");
  config.log_json = format == "json";
  RETURN_IF_ERROR(section.finish());
  return config;
}

Result<ServerConfig> read_config(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf()))
    return Error{Errc::kInvalidArgument, fmt::format("cannot read the configuration \"{}\"", path)};
  auto config = parse_config(text.str());
  if (!config)
    return Error{Errc::kInvalidArgument, fmt::format("{}: {}", path, config.error().message)};
  return config;
}

}  // namespace curfew::app
