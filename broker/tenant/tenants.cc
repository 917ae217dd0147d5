#include "broker/tenant/tenants.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/contained.h"

namespace curfew::broker {
namespace {

constexpr std::size_t kNamespacesMax = 1'000;
constexpr std::size_t kDepthMax = 16;
constexpr std::size_t kIdCharacters = 6;
constexpr Millis kLookAgain = Seconds{1};

NamespaceEntry first_entry() {
  NamespaceEntry entry;
  entry.id = kFirstNamespace;
  return entry;
}

Error no_such_namespace() {
  return {Errc::kNotFound, "requested namespace does not exist"};
}

Error being_deleted() {
  return {Errc::kInvalidArgument,
          "namespace with that name exists and is currently tainted: it is being deleted"};
}

void apply(const std::map<std::string, Json>& changes, std::map<std::string, std::string>& onto) {
  for (const auto& [key, value] : changes) {
    if (value.is_null())
      onto.erase(key);
    else
      onto[key] = value.get<std::string>();
  }
}

// Without slashes at its ends; "root" is the first namespace.
std::string_view plain(std::string_view header) {
  while (header.starts_with('/')) header.remove_prefix(1);
  while (header.ends_with('/')) header.remove_suffix(1);
  return header == kFirstNamespace ? std::string_view() : header;
}

}  // namespace

Tenants::Tenants(const Tenant::Shared& shared, store::NamespaceKeyrings& keyrings,
                 std::shared_ptr<store::Keyring> first_keyring)
    : shared_(shared),
      keyrings_(keyrings),
      postman_(shared.log),
      first_(std::make_shared<Tenant>(shared, first_entry(), std::move(first_keyring), nullptr,
                                      *this)) {}

Tenants::~Tenants() {
  take_down();
}

// ---- finding ----------------------------------------------------------------------------------

Tenants::Routed Tenants::route(const std::string& header, const std::string& path) const {
  std::string whole(plain(header));
  if (!whole.empty()) whole += '/';
  const std::size_t named = whole.size();
  whole += path;
  const std::shared_lock lock(mutex_);
  Routed out{first_, {}, true};
  std::size_t begin = 0;
  // Element by element: what lies below a namespace that is not there is not there either.
  for (auto slash = whole.find('/'); slash != std::string::npos;
       slash = whole.find('/', slash + 1)) {
    const auto known = known_.find(std::string_view(whole).substr(0, slash + 1));
    if (known == known_.end()) break;
    out.tenant = known->second.tenant;
    begin = slash + 1;
  }
  out.found = begin >= named;
  out.path = whole.substr(begin);
  return out;
}

std::shared_ptr<Tenant> Tenants::at(const std::string& path) const {
  if (path.empty()) return first_;
  const std::shared_lock lock(mutex_);
  const auto known = known_.find(path);
  return known == known_.end() ? nullptr : known->second.tenant;
}

std::optional<Tenants::Known> Tenants::known_at(const std::string& path) const {
  const std::shared_lock lock(mutex_);
  const auto known = known_.find(path);
  if (known == known_.end()) return std::nullopt;
  return known->second;
}

std::shared_ptr<Tenant> Tenants::by_id(const std::string& id) const {
  if (id.empty() || id == kFirstNamespace) return first_;
  const std::shared_lock lock(mutex_);
  for (const auto& [path, known] : known_)
    if (known.entry.id == id) return known.tenant;
  return nullptr;
}

std::vector<std::shared_ptr<Tenant>> Tenants::all() const {
  auto out = below("");
  out.insert(out.begin(), first_);
  return out;
}

std::vector<std::shared_ptr<Tenant>> Tenants::below(const std::string& path) const {
  const std::shared_lock lock(mutex_);
  std::vector<std::shared_ptr<Tenant>> out;
  for (auto it = known_.upper_bound(path); it != known_.end() && it->first.starts_with(path); ++it)
    out.push_back(it->second.tenant);
  return out;
}

std::vector<std::string> Tenants::ids_at(const std::string& path) const {
  const auto top = at(path);
  if (top == nullptr) return {};
  std::vector<std::string> ids = {top->id()};
  for (const auto& tenant : below(path)) ids.push_back(tenant->id());
  return ids;
}

std::string Tenants::leading(const std::string& above, const std::string& path) const {
  const std::string whole = above + path;
  std::size_t end = above.size();
  const std::shared_lock lock(mutex_);
  for (auto slash = whole.find('/', end); slash != std::string::npos;
       slash = whole.find('/', slash + 1)) {
    if (!known_.contains(std::string_view(whole).substr(0, slash + 1))) break;
    end = slash + 1;
  }
  return whole.substr(above.size(), end - above.size());
}

std::vector<NamespaceEntry> Tenants::list(const std::string& above) const {
  const std::shared_lock lock(mutex_);
  std::vector<NamespaceEntry> out;
  for (auto it = known_.upper_bound(above); it != known_.end() && it->first.starts_with(above);
       ++it)
    if (it->first.find('/', above.size()) + 1 == it->first.size()) out.push_back(it->second.entry);
  return out;
}

std::optional<NamespaceEntry> Tenants::find(const std::string& above,
                                            const std::string& name) const {
  const auto known = known_at(above + name + '/');
  if (!known) return std::nullopt;
  return known->entry;
}

std::vector<Metric> Tenants::metrics_below(const std::string& path, WallTime now) const {
  std::vector<Metric> out;
  for (const auto& tenant : below(path)) {
    auto metrics = tenant->metrics(now);
    if (!metrics) {
      shared_.log.warn("namespace not counted in the metrics",
                       {{"namespace", tenant->path()}, {"error", metrics.error().message}});
      continue;
    }
    const std::string label = fmt::format("namespace=\"{}\"", tenant->path().substr(path.size()));
    for (Metric& metric : *metrics) {
      metric.label = metric.label.empty() ? label : metric.label + ',' + label;
      out.push_back(std::move(metric));
    }
  }
  return out;
}

Result<std::int64_t> Tenants::leases_left(const std::string& path) const {
  const auto tenant = at(path);
  if (tenant == nullptr) return std::int64_t{0};
  return tenant->live_leases();
}

// ---- from sealed to serving and back ----------------------------------------------------------

void Tenants::learn(Known known) {
  const std::unique_lock lock(mutex_);
  std::string path = known.entry.path;
  known_.insert_or_assign(std::move(path), std::move(known));
}

// What cannot be brought up is not served; its rows and keys stay, for the next start.
Status Tenants::bring_up_below(Tenant& above) {
  ASSIGN_OR_RETURN(const auto entries, above.stored_below());
  for (const NamespaceEntry& entry : entries) {
    auto keyring = keyrings_.get(entry.id);
    Status up = keyring ? ok() : Status(keyring.error());
    std::shared_ptr<Tenant> tenant;
    if (up) {
      tenant = std::make_shared<Tenant>(shared_, entry, *std::move(keyring), &above, *this);
      up = tenant->bring_up();
    }
    if (up && entry.deleting) up = tenant->close();
    if (!up) {
      shared_.log.error("namespace left out",
                        {{"namespace", entry.path}, {"error", up.error().message}});
      if (tenant != nullptr) tenant->take_down();
      continue;
    }
    learn({entry, tenant});
    RETURN_IF_ERROR(bring_up_below(*tenant));
  }
  return ok();
}

Status Tenants::bring_up() {
  RETURN_IF_ERROR(first_->bring_up());
  RETURN_IF_ERROR(bring_up_below(*first_));
  if (!shared_.options.start_threads) return ok();
  {
    const std::scoped_lock lock(thread_mutex_);
    stopping_ = false;
    woken_ = true;
  }
  thread_ = std::thread([this] { work(); });
  return ok();
}

void Tenants::stop_work() {
  {
    const std::scoped_lock lock(thread_mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (const auto& tenant : all()) tenant->stop_work();
}

void Tenants::take_down() {
  {
    const std::scoped_lock lock(thread_mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
  // Those below first: they use what is above them.
  auto tenants = all();
  std::reverse(tenants.begin(), tenants.end());
  for (const auto& tenant : tenants) tenant->take_down();
  tenants.clear();
  std::map<std::string, Known, std::less<>> gone;
  {
    const std::unique_lock lock(mutex_);
    gone.swap(known_);
  }
  while (!gone.empty()) gone.erase(std::prev(gone.end()));
}

// ---- making -----------------------------------------------------------------------------------

Result<NamespaceEntry> Tenants::make(Tenant& above, NamespaceEntry entry) {
  {
    const std::shared_lock lock(mutex_);
    if (known_.size() >= kNamespacesMax)
      return Error{
          Errc::kInvalidArgument,
          fmt::format("there are {} namespaces already, the most there can be", kNamespacesMax)};
  }
  if (std::count(entry.path.begin(), entry.path.end(), '/') > static_cast<long>(kDepthMax))
    return Error{Errc::kInvalidArgument,
                 fmt::format("namespaces can be nested {} deep at the most", kDepthMax)};
  RETURN_IF_ERROR(above.check_free(entry.name()));
  do entry.id = random_base62(shared_.random, kIdCharacters);
  while (by_id(entry.id) != nullptr);
  entry.uuid = random_uuid(shared_.random);
  entry.created_at = shared_.guard.wall();
  ASSIGN_OR_RETURN(auto keyring,
                   keyrings_.create(entry.id, [&](store::Writer& writer, const store::Barrier&) {
                     return above.store_below(writer, entry);
                   }));
  auto tenant = std::make_shared<Tenant>(shared_, entry, std::move(keyring), &above, *this);
  if (Status up = tenant->bring_up(); !up) {
    tenant->take_down();
    const Status undone = keyrings_.destroy(entry.id, [&](store::Writer& writer) -> Status {
      RETURN_IF_ERROR(tenant->erase(writer));
      return above.forget_below(writer, entry.name());
    });
    if (!undone)
      shared_.log.error("namespace made by half; it comes up with the next start",
                        {{"namespace", entry.path}, {"error", undone.error().message}});
    return up.error();
  }
  learn({entry, std::move(tenant)});
  shared_.log.info("namespace made", {{"namespace", entry.path}, {"id", entry.id}});
  return entry;
}

Result<NamespaceEntry> Tenants::store_metadata(Tenant& above, NamespaceEntry entry) {
  RETURN_IF_ERROR(shared_.database.write(
      [&](store::Writer& writer) { return above.store_below(writer, entry); }));
  const std::unique_lock lock(mutex_);
  const auto known = known_.find(entry.path);
  if (known != known_.end()) known->second.entry = entry;
  return entry;
}

Result<NamespaceEntry> Tenants::put(const std::string& above, const std::string& name,
                                    const std::map<std::string, Json>& metadata) {
  const std::scoped_lock changing(changing_);
  const auto parent = at(above);
  if (parent == nullptr) return no_such_namespace();
  if (parent->is_closed()) return being_deleted();
  auto known = known_at(above + name + '/');
  NamespaceEntry entry = known ? known->entry : NamespaceEntry{};
  if (entry.deleting) return being_deleted();
  entry.custom_metadata.clear();
  apply(metadata, entry.custom_metadata);
  if (known) return store_metadata(*parent, std::move(entry));
  entry.path = above + name + '/';
  return make(*parent, std::move(entry));
}

Result<NamespaceEntry> Tenants::patch(const std::string& above, const std::string& name,
                                      const std::map<std::string, Json>& metadata) {
  const std::scoped_lock changing(changing_);
  const auto parent = at(above);
  auto known = known_at(above + name + '/');
  if (parent == nullptr || !known) return no_such_namespace();
  if (known->entry.deleting) return being_deleted();
  apply(metadata, known->entry.custom_metadata);
  return store_metadata(*parent, std::move(known->entry));
}

// ---- removing ---------------------------------------------------------------------------------

Result<Tenants::Deletion> Tenants::remove(const std::string& above, const std::string& name) {
  const std::string path = above + name + '/';
  std::optional<Known> known;
  {
    const std::scoped_lock changing(changing_);
    const auto parent = at(above);
    known = known_at(path);
    if (parent == nullptr || !known) return Deletion{.done = true};
    if (!below(path).empty())
      return Error{Errc::kInvalidArgument,
                   fmt::format("cannot delete namespace (\"{}\") containing child namespaces: "
                               "delete those first",
                               name + '/')};
    if (!known->entry.deleting) {
      known->entry.deleting = true;
      RETURN_IF_ERROR(store_metadata(*parent, known->entry));
      shared_.log.warn("namespace is being deleted",
                       {{"namespace", path}, {"id", known->entry.id}});
    }
    RETURN_IF_ERROR(known->tenant->close());
  }
  wake();
  Status gone = known->tenant->wait_until_clear();
  if (gone) {
    known.reset();
    gone = finish_removal(path);
  }
  if (gone) return Deletion{.done = true};
  if (gone.error().code != Errc::kConflict && gone.error().code != Errc::kInvalidArgument)
    return gone.error();
  return Deletion{.done = false, .waits_for = gone.error().message};
}

Status Tenants::finish_removal(const std::string& path) {
  const std::scoped_lock changing(changing_);
  auto known = known_at(path);
  if (!known) return ok();
  Tenant& tenant = *known->tenant;
  if (!known->shut) {
    RETURN_IF_ERROR(tenant.check_clear());
    if (!tenant.shut())
      return Error{Errc::kConflict, "requests to the namespace are still under way"};
    tenant.stop_work();
    tenant.take_down();
    const std::unique_lock lock(mutex_);
    known_.find(path)->second.shut = true;
  }
  const NamespaceEntry& entry = known->entry;
  const auto above = at(path.substr(0, path.size() - entry.name().size() - 1));
  RETURN_IF_ERROR(keyrings_.destroy(entry.id, [&](store::Writer& writer) -> Status {
    RETURN_IF_ERROR(tenant.erase(writer));
    return above->forget_below(writer, entry.name());
  }));
  {
    const std::unique_lock lock(mutex_);
    known_.erase(path);
  }
  shared_.log.warn("namespace deleted", {{"namespace", path}, {"id", entry.id}});
  return ok();
}

void Tenants::finish_removals() {
  std::vector<std::string> closed;
  {
    const std::shared_lock lock(mutex_);
    for (const auto& [path, known] : known_)
      if (known.entry.deleting) closed.push_back(path);
  }
  for (const std::string& path : closed) {
    const Status done = finish_removal(path);
    if (!done && done.error().code != Errc::kConflict)
      shared_.log.warn("namespace not deleted yet",
                       {{"namespace", path}, {"error", done.error().message}});
  }
}

void Tenants::wake() {
  {
    const std::scoped_lock lock(thread_mutex_);
    woken_ = true;
  }
  wake_.notify_all();
}

void Tenants::work() {
  bool waits = true;
  for (;;) {
    {
      const std::shared_lock lock(mutex_);
      waits = std::any_of(known_.begin(), known_.end(),
                          [](const auto& entry) { return entry.second.entry.deleting; });
    }
    if (waits)
      (void)contained(shared_.log, "removing namespaces", [&]() -> Status {
        finish_removals();
        return ok();
      });
    std::unique_lock lock(thread_mutex_);
    const auto ready = [this] { return stopping_ || woken_; };
    if (waits)
      wake_.wait_for(lock, kLookAgain, ready);
    else
      wake_.wait(lock, ready);
    woken_ = false;
    if (stopping_) return;
  }
}

}  // namespace curfew::broker
