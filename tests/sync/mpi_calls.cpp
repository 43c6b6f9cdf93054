// MPI calls that fail, or do more, when a test asks for it, by MPI's own profiling interface (MPI 3.1, section 14.2).
#include "sync/mpi_calls.hpp"

#include <mpi.h>

#include <utility>

namespace unitvar::test {
namespace {

MpiCall failing = MpiCall::none;
std::function<void()> after_sending;

}  // namespace

FailingMpi::FailingMpi(MpiCall call) { failing = call; }
FailingMpi::~FailingMpi() { failing = MpiCall::none; }

AfterSending::AfterSending(std::function<void()> act) { after_sending = std::move(act); }
AfterSending::~AfterSending() { after_sending = nullptr; }

}  // namespace unitvar::test

using unitvar::test::after_sending;
using unitvar::test::failing;
using unitvar::test::MpiCall;

extern "C" {

int MPI_Iallreduce(const void* in, void* out, int count, MPI_Datatype type, MPI_Op op, MPI_Comm comm,
                   MPI_Request* request) {
  if (failing == MpiCall::iallreduce) return MPI_ERR_OTHER;
  const int result = PMPI_Iallreduce(in, out, count, type, op, comm, request);
  if (after_sending) after_sending();
  return result;
}

int MPI_Wait(MPI_Request* request, MPI_Status* status) {
  const int result = PMPI_Wait(request, status);
  return failing == MpiCall::wait ? MPI_ERR_TRUNCATE : result;
}

int MPI_Op_create(MPI_User_function* function, int commute, MPI_Op* op) {
  if (failing == MpiCall::op_create) return MPI_ERR_INTERN;
  return PMPI_Op_create(function, commute, op);
}

int MPI_Type_commit(MPI_Datatype* type) {
  if (failing == MpiCall::type_commit) return MPI_ERR_TYPE;
  return PMPI_Type_commit(type);
}
}
