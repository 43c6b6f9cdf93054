#pragma once

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

}  // namespace unitvar::test
