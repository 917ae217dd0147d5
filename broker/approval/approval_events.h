#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "broker/approval/approval.h"

namespace curfew::broker {

// Something has changed of an approval request.
struct ApprovalEvent {
  std::string id;
  ApprovalState state = ApprovalState::kPending;
  std::int64_t revision = 0;
  std::string role;
  bool is_task = false;
  std::string requester;                     // its key
  std::vector<std::string> groups;           // ids of the groups that may decide
  std::vector<std::string> excluded;         // who of them may not
  std::vector<std::string> excluded_groups;  // likewise
};

// Announces changes of one namespace's approval requests to those who wait for them. Thread-safe.
// What is called must not block, and not come back here.
class ApprovalEvents : public std::enable_shared_from_this<ApprovalEvents> {
 public:
  // Of one request, from the call of watch() on, whether or not anybody waits yet.
  class Watch : public std::enable_shared_from_this<Watch> {
   public:
    // Calls `wake` once when something has happened since watch(); at once where it has. Whoever
    // lets go of what this returns is not called any more.
    std::shared_ptr<void> arm(std::function<void()> wake);

   private:
    friend class ApprovalEvents;
    void fire();

    std::mutex mutex_;  // held while wake_ runs
    bool fired_ = false;
    std::function<void()> wake_;
  };
  std::shared_ptr<Watch> watch(const std::string& id);

  // Of all of them, until what this returns is let go of.
  std::shared_ptr<void> listen(std::function<void(const ApprovalEvent&)> listener);

  void publish(const ApprovalEvent& event);

  std::size_t listeners() const;

 private:
  struct Listener {
    std::mutex mutex;  // held while `call` runs
    std::function<void(const ApprovalEvent&)> call;
  };

  mutable std::mutex mutex_;
  // Guarded by mutex_. Those that are gone are removed now and then.
  std::multimap<std::string, std::weak_ptr<Watch>> watches_;
  std::size_t sweep_at_ = 64;
  std::vector<std::weak_ptr<Listener>> listeners_;
};

}  // namespace curfew::broker
