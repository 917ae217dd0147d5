#include "bench/lease_filler.h"

#include <fmt/format.h>

#include "base/random.h"
#include "base/system_clock.h"
#include "bench/load.h"
#include "broker/lease/lease_codec.h"
#include "store/keyring.h"
#include "store/seal.h"
#include "store/sqlite.h"

namespace curfew::bench {
namespace {

constexpr int kPerTransaction = 5'000;

template <class T>
T expect(Result<T> result, const char* what) {
  if (!result) fail(fmt::format("{}: {}", what, result.error().message));
  return std::move(result).value();
}

broker::Lease make_lease(Random& random, const std::string& mount, WallTime now) {
  const std::string name = random_base62(random, 24);
  broker::Lease lease;
  lease.id = "database/creds/bench/" + name;
  lease.mount = mount;
  lease.role = "bench";
  lease.state = broker::LeaseState::kActive;
  lease.issued_at = now;
  lease.expires_at = now + std::chrono::hours{24 * 3650};
  lease.next_action_at = lease.expires_at;
  lease.handle = {"app",
                  {{"database_role", "cf-bench-" + name},
                   {"target", "app"},
                   {"revocation_statements", Json::array()},
                   {"renew_statements", Json::array()},
                   {"role_oid", 16384}}};
  lease.attribution = {.entity_id = "",
                       .display_name = "token-report-bot",
                       .token_accessor = random_base62(random, 24),
                       .purpose = "weekly customer report",
                       .session = "session-1",
                       .trace_id = "0af7651916cd43dd8448eb211c80319c",
                       .remote_address = "127.0.0.1"};
  lease.apply_deadline = now;
  lease.apply_ended = true;
  return lease;
}

}  // namespace

void fill_leases(const std::string& database_path, const std::string& seal_path,
                 const std::string& mount_accessor, int count) {
  SystemRandom random;
  SystemClock clock;
  const auto log = make_null_log();
  const auto database = expect(store::open_sqlite(database_path, {}, *log), "the store");
  store::Keyring keyring("root", random, clock);
  const auto seal = expect(
      store::Seal::open(*database, keyring, {.kind = store::SealKind::kFile, .key_file = seal_path},
                        random, *log),
      "the seal");
  if (!expect(seal->auto_unseal(), "unsealing")) fail("the store has no keys");
  for (int done = 0; done < count; done += kPerTransaction) {
    expect(database->write([&](store::Writer& writer) -> Status {
      for (int i = done; i < std::min(count, done + kPerTransaction); ++i) {
        const broker::Lease lease = make_lease(random, mount_accessor, clock.wall());
        ASSIGN_OR_RETURN(const std::string sealed, broker::seal_lease(keyring, lease));
        RETURN_IF_ERROR(broker::insert_lease(writer, keyring, lease, sealed));
      }
      return ok();
    }),
           "filling the store");
  }
}

}  // namespace curfew::bench
