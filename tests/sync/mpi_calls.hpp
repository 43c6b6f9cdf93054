#pragma once
#include <functional>

namespace unitvar::test {

enum class MpiCall { none, op_create, type_commit, iallreduce, wait };

/// As long as it lives, this call of MPI's fails on this rank.
class FailingMpi {
 public:
  explicit FailingMpi(MpiCall call);
  ~FailingMpi();
  FailingMpi(const FailingMpi&) = delete;
  FailingMpi& operator=(const FailingMpi&) = delete;
};

/// As long as it lives, this rank does so after each frame that it sends.
class AfterSending {
 public:
  explicit AfterSending(std::function<void()> act);
  ~AfterSending();
  AfterSending(const AfterSending&) = delete;
  AfterSending& operator=(const AfterSending&) = delete;
};

}  // namespace unitvar::test
