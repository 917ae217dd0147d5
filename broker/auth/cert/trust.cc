#include "broker/auth/cert/trust.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <ctime>

#include "base/encoding.h"

namespace curfew::broker::cert {
namespace {

constexpr int kDepthMax = 8;
// 112 bits: RSA from 2048 bits, no SHA-1.
constexpr int kSecurityLevel = 2;

struct ContextFree {
  void operator()(X509_STORE_CTX* context) const { X509_STORE_CTX_free(context); }
};
using Context = std::unique_ptr<X509_STORE_CTX, ContextFree>;

struct StackFree {
  void operator()(STACK_OF(X509) * stack) const { sk_X509_free(stack); }
};
using Stack = std::unique_ptr<STACK_OF(X509), StackFree>;

using Lists = std::vector<RevocationList>;

bool is_of_issuer(const RevocationList& list, const X509* certificate) {
  return X509_NAME_cmp(X509_CRL_get_issuer(list.list.get()), X509_get_issuer_name(certificate)) ==
         0;
}

const RevocationList* list_of(const Lists& lists, const X509* certificate) {
  const auto it = std::find_if(lists.begin(), lists.end(), [&](const RevocationList& list) {
    return is_of_issuer(list, certificate);
  });
  return it == lists.end() ? nullptr : &*it;
}

bool is_self_issued(X509* certificate) {
  return X509_check_issued(certificate, certificate) == X509_V_OK;
}

bool concerns_lists(int error) {
  switch (error) {
    case X509_V_ERR_UNABLE_TO_GET_CRL:
    case X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER:
    case X509_V_ERR_CRL_SIGNATURE_FAILURE:
    case X509_V_ERR_KEYUSAGE_NO_CRL_SIGN:
    case X509_V_ERR_CRL_PATH_VALIDATION_ERROR: return true;
    default: return false;
  }
}

// OpenSSL asks for a list of every issuer; here a list counts where there is one. Of the last of
// the chain OpenSSL does not know the issuer, unless it is its own: check_last() looks at it.
int judge(int accepted, X509_STORE_CTX* context) {
  if (accepted == 1) return 1;
  const auto& lists = *static_cast<const Lists*>(X509_STORE_CTX_get_app_data(context));
  const int error = X509_STORE_CTX_get_error(context);
  X509* const certificate = X509_STORE_CTX_get_current_cert(context);
  if (certificate == nullptr) return 0;
  const int last = sk_X509_num(X509_STORE_CTX_get0_chain(context)) - 1;
  const bool is_last = X509_STORE_CTX_get_error_depth(context) == last;
  const bool excused = (error == X509_V_ERR_UNABLE_TO_GET_CRL && !list_of(lists, certificate)) ||
                       (concerns_lists(error) && is_last && !is_self_issued(certificate));
  if (!excused) return 0;
  X509_STORE_CTX_set_error(context, X509_V_OK);
  return 1;
}

bool is_known(int error) {
  switch (error) {
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE: return false;
    default: return true;
  }
}

Verdict refusal_of(X509_STORE_CTX* context, const Lists& lists) {
  Verdict verdict;
  const int error = X509_STORE_CTX_get_error(context);
  verdict.reason = X509_verify_cert_error_string(error);
  verdict.is_known = is_known(error);
  const X509* certificate = X509_STORE_CTX_get_current_cert(context);
  const bool stale = error == X509_V_ERR_CRL_HAS_EXPIRED || error == X509_V_ERR_CRL_NOT_YET_VALID;
  if (!stale || certificate == nullptr) return verdict;
  if (const RevocationList* list = list_of(lists, certificate)) verdict.stale_list = list->name;
  return verdict;
}

// The serial number on the lists of its issuer, whose own certificate is not there.
void check_last(X509* last, const Lists& lists, std::time_t now, Verdict& verdict) {
  bool current = false;
  std::string stale;
  for (const RevocationList& list : lists) {
    if (!is_of_issuer(list, last)) continue;
    X509_REVOKED* entry = nullptr;
    if (X509_CRL_get0_by_cert(list.list.get(), &entry, last) == 1) {
      verdict.accepted = false;
      verdict.reason = X509_verify_cert_error_string(X509_V_ERR_CERT_REVOKED);
    }
    const ASN1_TIME* next = X509_CRL_get0_nextUpdate(list.list.get());
    const bool begun = X509_cmp_time(X509_CRL_get0_lastUpdate(list.list.get()), &now) < 0;
    if (begun && (next == nullptr || X509_cmp_time(next, &now) > 0))
      current = true;
    else
      stale = list.name;
  }
  if (current || stale.empty() || !verdict.accepted) return;
  verdict.accepted = false;
  verdict.stale_list = stale;
  verdict.reason = X509_verify_cert_error_string(X509_V_ERR_CRL_HAS_EXPIRED);
}

WallTime end_of(const X509* certificate) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &parts) != 1) return {};
  return from_unix_millis(std::int64_t{timegm(&parts)} * 1000);
}

// Of a chain that holds together.
Verdict examine(const STACK_OF(X509) * chain, const Lists& lists, std::time_t now) {
  Verdict verdict{.accepted = true, .is_known = true};
  const int count = sk_X509_num(chain);
  verdict.ends = end_of(sk_X509_value(chain, 0));
  for (int i = 1; i < count; ++i) {
    X509* const issuer = sk_X509_value(chain, i);
    verdict.ends = std::min(verdict.ends, end_of(issuer));
    // OpenSSL lets old certificates sign that do not say that they may.
    if (X509_check_ca(issuer) == 1) continue;
    return {.reason = X509_verify_cert_error_string(X509_V_ERR_INVALID_CA), .is_known = true};
  }
  X509* const last = sk_X509_value(chain, count - 1);
  if (!is_self_issued(last)) check_last(last, lists, now, verdict);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  if (X509_pubkey_digest(last, EVP_sha256(), digest, &size) != 1)
    return {.reason = "its key cannot be read", .is_known = true};
  verdict.authority = hex_encode({reinterpret_cast<const char*>(digest), size});
  return verdict;
}

}  // namespace

Trust::Trust(std::vector<CertificatePointer> believed, std::vector<RevocationList> lists)
    : believed_(std::move(believed)), lists_(std::move(lists)) {
  std::vector<CertificatePointer> authorities;
  std::copy_if(believed_.begin(), believed_.end(), std::back_inserter(authorities), is_authority);
  authorities_ = store_of(authorities);
}

Trust::Store Trust::store_of(const std::vector<CertificatePointer>& anchors) const {
  Store store(X509_STORE_new(), [](X509_STORE* object) { X509_STORE_free(object); });
  for (const CertificatePointer& anchor : anchors) X509_STORE_add_cert(store.get(), anchor.get());
  for (const RevocationList& list : lists_) X509_STORE_add_crl(store.get(), list.list.get());
  ERR_clear_error();
  return store;
}

Verdict Trust::verify(const std::vector<CertificatePointer>& chain, WallTime now) const {
  const CertificatePointer& own = chain.front();
  const bool is_believed =
      std::any_of(believed_.begin(), believed_.end(),
                  [&](const CertificatePointer& one) { return same_certificate(one, own); });
  const Store store = is_believed ? store_of({own}) : authorities_;
  const Stack others(sk_X509_new_null());
  for (std::size_t i = 1; i < chain.size() && !is_believed; ++i)
    sk_X509_push(others.get(), chain[i].get());
  const Context context(X509_STORE_CTX_new());
  if (X509_STORE_CTX_init(context.get(), store.get(), own.get(), others.get()) != 1)
    return {.reason = "OpenSSL has no memory"};
  const std::time_t time = to_unix_seconds(now);
  X509_VERIFY_PARAM* const rules = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_purpose(rules, X509_PURPOSE_SSL_CLIENT);
  X509_VERIFY_PARAM_set_trust(rules, X509_TRUST_SSL_CLIENT);
  X509_VERIFY_PARAM_set_time(rules, time);
  X509_VERIFY_PARAM_set_depth(rules, kDepthMax);
  X509_VERIFY_PARAM_set_auth_level(rules, kSecurityLevel);
  unsigned long flags = X509_V_FLAG_PARTIAL_CHAIN;
  if (!lists_.empty()) flags |= X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL;
  X509_VERIFY_PARAM_set_flags(rules, flags);
  X509_STORE_CTX_set_app_data(context.get(), const_cast<Lists*>(&lists_));
  X509_STORE_CTX_set_verify_cb(context.get(), judge);
  const bool holds = X509_verify_cert(context.get()) == 1;
  Verdict verdict = holds ? examine(X509_STORE_CTX_get0_chain(context.get()), lists_, time)
                          : refusal_of(context.get(), lists_);
  ERR_clear_error();
  return verdict;
}

}  // namespace curfew::broker::cert
