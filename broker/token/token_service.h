#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "base/result.h"
#include "base/secret.h"
#include "broker/peer_certificate.h"
#include "broker/token/token.h"
#include "broker/token/token_store.h"

namespace curfew::broker {

// The time-to-lives of the mount auth/token/, as tuned; 0: the system's.
struct TokenMountTtl {
  Millis default_ttl{0};
  Millis max_ttl{0};
};

// What is asked for when a token is made. Already checked against what the caller may ask.
struct TokenSpec {
  TokenType type = TokenType::kService;  // a batch token has neither uses, period nor explicit max
  Secret id;                             // empty: a random one
  std::string path = "auth/token/create";
  std::string display_name = "token";
  std::string agent;  // see Token
  std::string role;
  std::string parent;  // row id; empty: an orphan
  std::string entity_id;
  std::string mount;         // accessor of the auth method; empty: a token makes it
  Json renewal;              // see Token
  std::string on_behalf_of;  // likewise
  std::vector<std::string> principal_policies;  // likewise
  std::string sub_agent;                        // likewise
  std::vector<std::string> delegator_policies;  // likewise
  std::vector<TokenBudget> budgets;             // likewise; one without a token is its own
  std::vector<std::string> policies;
  std::map<std::string, std::string> meta;
  std::vector<std::string> bound_cidrs;
  std::string certificate;
  Millis ttl{0};
  Millis max_ttl{0};  // see Token
  Millis explicit_max_ttl{0};
  Millis period{0};
  std::int64_t num_uses = 0;
  bool renewable = true;
};

struct CreatedToken {
  Secret secret;
  Token token;
  std::vector<std::string> warnings;
};

// Makes, believes, renews and ends tokens. Thread-safe.
class TokenService {
 public:
  // `above`: of the namespace above; nullptr: there is none.
  TokenService(TokenStore& store, const Clock& clock, Random& random,
               const TokenService* above = nullptr);

  // `check`: what has to hold when the token becomes durable.
  Result<CreatedToken> create(TokenSpec spec, const TokenMountTtl& mount,
                              const TokenCheck& check = {});

  // The token behind what a client sent, if it lives. kUnauthenticated otherwise, also where the
  // address is not within its bound CIDRs, or the connection (nullptr: it shows none) does not show
  // the certificate that it is tied to.
  Result<Token> authenticate(const Secret& secret, const std::string& remote_address,
                             const PeerCertificate* certificate) const;

  // Counts one use of a token that has a limited number. The token returned has num_uses -1 if this
  // was the last one: end it after the request. kUnauthenticated: none were left.
  Result<Token> use(const Token& token);

  // What a renewal goes by: the mount's times, and what the role of a login says now.
  struct RenewTerms {
    TokenMountTtl mount;
    std::optional<Millis> ttl = {};      // nullopt: as when the token was made
    std::optional<Millis> max_ttl = {};  // likewise
    std::optional<Millis> period = {};   // likewise
  };
  // kInvalidArgument: not renewable, past its maximum, or a batch token.
  struct Renewed {
    Token token;
    std::vector<std::string> warnings;
  };
  Result<Renewed> renew(const Token& token, Millis increment, const RenewTerms& terms);

  // Ends the token and all below it; absent is success. kInvalidArgument: a batch token.
  Status revoke_tree(const Token& token);
  Status revoke_orphan(const Token& token);

  // Live tokens only. nullopt: none.
  Result<std::optional<Token>> find(const Secret& secret) const;
  Result<std::optional<Token>> find_by_accessor(const std::string& accessor) const;
  Result<std::vector<std::string>> accessors() const { return store_.accessors(); }

  // When the token of a row id ends, of this namespace or one above; nullopt: never, or `id` is
  // none (see Token::lease_group). kUnauthenticated: it has ended or does not exist.
  Result<std::optional<WallTime>> end_of(const std::string& id) const;

 private:
  bool is_alive(const Token& token) const;
  Result<std::optional<Token>> look_up(const Secret& secret) const;

  TokenStore& store_;
  const Clock& clock_;
  Random& random_;
  const TokenService* const above_;
};

// Puts a root token that does not expire into the store: `wanted`, or a random one, which `made`
// then holds.
Status insert_root_token(store::Writer& writer, const store::Barrier& barrier, const Secret& wanted,
                         WallTime now, Random& random, Secret& made);

// Lower case, sorted, without repeats; "default" added unless told otherwise or the token is root.
std::string lower_case(std::string text);  // ASCII letters only
std::vector<std::string> normalise_policies(std::vector<std::string> policies, bool add_default);

}  // namespace curfew::broker
