#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "engines/engine.h"
#include "engines/registry.h"

namespace curfew::broker {

// The outside world of ScriptedEngine: which credentials exist, and what goes wrong. Thread-safe.
class ScriptedWorld {
 public:
  enum class Fault { kNone, kBefore, kInDoubtUndone, kInDoubtDone };

  std::set<std::string> names() const;
  bool has(const std::string& name) const;
  void add(const std::string& name);
  void drop(const std::string& name);

  std::function<void(const std::string& lease_id)> during_apply;  // called before the effect
  std::function<void(const std::string& lease_id)> during_revoke;

  void fail_apply(Fault fault) { apply_fault = fault; }
  void fail_revokes(int n) { revoke_faults = n; }  // the next n; -1: all

  // From then on leases are revoked together as well; fail_revokes() holds for that too.
  std::atomic<bool> batches{false};
  // What was done to whom: "lock NAME", "drop NAME".
  std::vector<std::string> events() const;
  void happened(std::string event);

  std::atomic<Fault> apply_fault{Fault::kNone};
  std::atomic<int> revoke_faults{0};
  std::atomic<int> revokes{0};
  std::string role_text = "CREATE ROLE";  // what an approver is shown, and approves
  Millis role_ttl{0};
  Millis role_max{0};
  std::map<std::string, WallTime> renewed;

  // The periodic work: its names, what a call does, and how the engine made last asks for one. Set
  // before a mount is made, or while no threads run.
  std::vector<std::string> chores;
  std::function<Result<engines::Tended>(const std::string& chore)> tend;
  std::function<void()> wake_caretaker;

 private:
  mutable std::mutex mutex_;
  std::set<std::string> names_;
  std::vector<std::string> events_;
};

// An engine whose credentials are names in a set. Its path is creds/{role}, its role "locked" locks
// out but never gets clean.
engines::Factory make_scripted_engine(ScriptedWorld& world);

}  // namespace curfew::broker
