// Communicator::hand_out(): process 0 hands out work, the others do it.

#include <chrono>
#include <cstring>
#include <thread>

#include "tapegrad/base/fail_internal.h"
#include "tapegrad/mpi/world_internal.h"

namespace tapegrad::inline v0 {
namespace {

using detail::World;

constexpr const char* kOp = "hand_out";
constexpr int kResult = 7002, kWork = 7003;
constexpr index_t kNone = -1;

struct Message {
  int from = 0;
  std::string text;
};

// Waits without a limit, as work may take any time, and leaves the core to others.
Message receive(World& world, int from, int tag) {
  const World::Timed timed(world);
  for (int turn = 0;; ++turn) {
    int found = 0;
    MPI_Status status;
    world.check(kOp, MPI_Iprobe(from, tag, world.comm(), &found, &status));
    if (found != 0) {
      int size = 0;
      MPI_Get_count(&status, MPI_BYTE, &size);
      Message message{status.MPI_SOURCE, std::string(static_cast<std::size_t>(size), '\0')};
      world.check(kOp, MPI_Recv(message.text.data(), size, MPI_BYTE, message.from, tag, world.comm(),
                                MPI_STATUS_IGNORE));
      return message;
    }
    if (turn > 100) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

void send(World& world, int to, int tag, const std::string& text) {
  const auto kept = std::make_shared<std::string>(text);
  MPI_Request request;
  world.check(kOp, MPI_Isend(kept->data(), static_cast<int>(kept->size()), MPI_BYTE, to, tag, world.comm(),
                             &request));
  world.wait(kOp, {&request, 1}, kept);
}

// A result begins with its number; the first message of a process has none. One that failed has the number kNone - 1.
std::string with_number(index_t number, const std::string& text) {
  return std::string(reinterpret_cast<const char*>(&number), sizeof(number)) + text;
}

index_t number_of(const std::string& text) {
  index_t number = kNone;
  std::memcpy(&number, text.data(), sizeof(number));
  return number;
}

void hand_out_to_others(World& world, index_t count,
                        const std::function<void(index_t, const std::string&)>& done) {
  index_t next = 0;
  std::exception_ptr failure;
  // Who has nothing left to do waits here for the others, whose work may take longer than any time limit.
  for (int working = world.processes() - 1; working > 0;) {
    const Message message = receive(world, MPI_ANY_SOURCE, kResult);
    const index_t number = number_of(message.text);
    if (number < kNone) next = count;  // it failed: nothing more is begun
    if (number >= 0 && !failure) try {
        done(number, message.text.substr(sizeof(number)));
      } catch (...) {
        failure = std::current_exception();
        next = count;
      }
    if (next < count)
      send(world, message.from, kWork, with_number(next++, ""));
    else
      --working;
  }
  for (int other = 1; other < world.processes(); ++other) send(world, other, kWork, with_number(kNone, ""));
  world.meet(kOp, {}, failure);
}

void work_for_first(World& world, const std::function<std::string(index_t)>& work) {
  std::exception_ptr failure;
  send(world, 0, kResult, with_number(kNone, ""));
  for (index_t number; (number = number_of(receive(world, 0, kWork).text)) != kNone;) {
    std::string result;
    try {
      result = with_number(number, work(number));
    } catch (...) {
      failure = std::current_exception();
      result = with_number(kNone - 1, "");
    }
    send(world, 0, kResult, result);
  }
  world.meet(kOp, {}, failure);
}

}  // namespace

void Communicator::hand_out(index_t count, const std::function<std::string(index_t)>& work,
                            const std::function<void(index_t, const std::string&)>& done) {
  if (count < 0) fail(kOp, "count must be at least 0, got {}", count);
  World& world = *world_;
  world.meet(kOp, {{"count", static_cast<std::uint64_t>(count)}});
  if (world.processes() == 1) {
    std::exception_ptr failure;
    try {
      for (index_t i = 0; i < count; ++i) done(i, work(i));
    } catch (...) {
      failure = std::current_exception();
    }
    return world.meet(kOp, {}, failure);
  }
  if (is_first())
    hand_out_to_others(world, count, done);
  else
    work_for_first(world, work);
}

}  // namespace tapegrad::inline v0
