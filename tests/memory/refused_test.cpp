// No memory, at each place in turn: an exception, nothing kept, and the run goes on to the same bits.

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "io/temporary.h"
#include "memory/allocations.h"
#include "process/work.h"
#include "refusals/calls.h"
#include "refusals/refused.h"
#include "tapegrad/tapegrad.h"
#include "tapegrad_c/nets.h"

namespace tapegrad::testing {
namespace {

void expect_refusals(const char* what, const std::function<std::string(Attempt&)>& scenario, int at_least) {
  for (const Refuse how : {Refuse::One, Refuse::AllFromOne}) {
    const Refusals all = refuse_each(scenario, how);
    EXPECT_EQ(all.wrong, "") << what;
    EXPECT_GE(all.tried, at_least) << what;
    EXPECT_GT(all.thrown, all.tried / 2) << what;
    const std::string name = std::string(what) + (how == Refuse::One ? "_one" : "_all");
    ::testing::Test::RecordProperty(name + "_refused", all.tried);
    std::printf("  %s: %d allocations refused, %d of them thrown\n", name.c_str(), all.tried, all.thrown);
  }
}

// A net, its optimizer, and all that is needed to go back to an earlier state of both.
struct SmallRun {
  Generator generator{5};
  Sequential net;
  std::unique_ptr<Adam> adam;
  Tensor x = uniform({8, 8, 8, 1}, -1, 1, generator), y = uniform({8, 3}, -1, 1, generator);

  // Batch norm mixes samples, which batch_gradient() refuses.
  explicit SmallRun(bool in_chunks)
      : net{Conv2D(
            {.in_channels = 1, .filters = 4, .kernel_size = 3, .padding = Padding::Same, .activation = relu},
            generator)} {
    if (in_chunks)
      net.add(GroupNorm({.groups = 2, .channels = 4}));
    else
      net.add(BatchNorm({.channels = 4}));
    net.add(Dropout(0.25, generator));
    net.add(Flatten());
    net.add(Dense({.in_features = 256, .units = 16, .activation = tanh}, generator));
    net.add(Dense({.in_features = 16, .units = 3}, generator));
    adam = std::make_unique<Adam>(net.parameters());
  }
  void step() {
    Tape tape;
    adam->step(tape.gradient(mse_loss(net(x), y), net.parameters()));
  }
  void step_in_chunks() {
    adam->step(batch_gradient([&](const auto& part) { return mse_loss(net(part[0]), part[1]); }, {x, y},
                              net.parameters(), {.chunk = 2})
                   .gradients);
  }
  State state() {
    TrainingState all;
    return all.add("net", net).add("adam", *adam).state();
  }
  void load(const State& state) {
    TrainingState all;
    all.add("net", net).add("adam", *adam).load_state(state);
  }
};

bool same_numbers(const State& a, const State& b) {
  return same(a, b) && a.numbers == b.numbers && a.integers == b.integers;
}

// The step that finds no memory is taken back and done again.
std::string goes_on(Attempt& attempt, void (SmallRun::*step)(), bool in_chunks) {
  const ThreadCountScope two(2);
  SmallRun undisturbed(in_chunks), run(in_chunks);
  for (int i = 0; i < 3; ++i) (undisturbed.*step)();
  (run.*step)();
  const State before = run.state();
  release_memory();  // or the step would ask for none
  if (!attempt([&] { (run.*step)(); })) {
    run.load(before);
    (run.*step)();
  }
  (run.*step)();
  return same_numbers(run.state(), undisturbed.state()) ? "" : "the run has gone on to other bits";
}

TEST(NoMemory, InATrainingStep) {
  expect_refusals(
      "step", [](Attempt& attempt) { return goes_on(attempt, &SmallRun::step, false); }, 50);
}

TEST(NoMemory, InAStepOfChunksOnTwoThreads) {
  expect_refusals(
      "chunks", [](Attempt& attempt) { return goes_on(attempt, &SmallRun::step_in_chunks, true); }, 100);
}

// The weights before the step or those after it, and nothing between: the optimizer takes all its memory first.
TEST(NoMemory, AStepOfAnOptimizerIsDoneOrNotDone) {
  const auto scenario = [](Attempt& attempt, auto make) -> std::string {
    const ThreadCountScope two(2);
    const auto run = [&](bool disturbed) {
      // Large enough for several pieces of a parallel loop.
      const Tensor a = parameter(full({300, 300}, 0.5)), b = parameter(full({70000}, -0.5));
      auto optimizer = make(std::vector<Tensor>{a, b});
      const Gradients gradients({a, b}, {full({300, 300}, 0.25), full({70000}, -0.125)});
      std::string wrong;
      for (int i = 0; i < 3; ++i) {
        if (!disturbed || i != 0) {  // later steps ask for nothing
          optimizer.step(gradients);
          continue;
        }
        const auto state = [&] {
          State all = optimizer.state();
          all.tensors.emplace_back("a", copy(a));
          all.tensors.emplace_back("b", copy(b));
          return all;
        };
        const State before = state();
        if (attempt([&] { optimizer.step(gradients); })) continue;
        if (!same_numbers(state(), before)) wrong = "a part of the step was done";
        optimizer.step(gradients);
      }
      State after = optimizer.state();
      after.tensors.emplace_back("a", a);
      after.tensors.emplace_back("b", b);
      return std::pair{after, wrong};
    };
    const auto [right, nothing] = run(false);
    const auto [after, wrong] = run(true);
    if (!wrong.empty()) return wrong;
    return same_numbers(after, right) ? "" : "other bits";
  };
  const auto each = [&](const char* name, auto make) {
    expect_refusals(
        name, [&](Attempt& attempt) { return scenario(attempt, make); }, 1);
  };
  each("SGD", [](const std::vector<Tensor>& ps) { return SGD(ps, {.momentum = 0.9, .nesterov = true}); });
  each("Adam",
       [](const std::vector<Tensor>& ps) { return Adam(ps, {.weight_decay = 0.1, .amsgrad = true}); });
  each("AdamW", [](const std::vector<Tensor>& ps) { return AdamW(ps); });
  each("RMSprop",
       [](const std::vector<Tensor>& ps) { return RMSprop(ps, {.momentum = 0.5, .centered = true}); });
  each("Adagrad", [](const std::vector<Tensor>& ps) { return Adagrad(ps); });
}

// In memory where the system has such a place: each write waits for the disk otherwise.
class Folder {
 public:
  Folder() {
    static const bool in_memory =
        std::filesystem::exists("/dev/shm") && ::setenv("TMPDIR", "/dev/shm", 0) == 0;
    static_cast<void>(in_memory);
    folder_.emplace();
  }
  const std::filesystem::path& path() const { return folder_->path(); }
  std::filesystem::path operator/(const std::string& name) const { return path() / name; }

 private:
  std::optional<TemporaryFolder> folder_;
};

std::string bytes_of_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Files that begin with a dot or end otherwise would be left over from a write that failed.
std::vector<std::string> names_in(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

TEST(NoMemory, WhereACheckpointIsWrittenAndRead) {
  const auto writes = [](Attempt& attempt) -> std::string {
    const Folder folder;
    SmallRun run(false);
    run.step();
    const auto path = folder.path() / "run.safetensors";
    const Checkpoint first{.state = run.state(), .step = 1, .metric = 0.5};
    write_checkpoint(path, first);
    const std::string earlier = bytes_of_file(path);
    run.step();
    const Checkpoint second{.state = run.state(), .step = 2, .metric = 0.25};
    const bool done = attempt([&] { write_checkpoint(path, second); });
    if (!done && bytes_of_file(path) != earlier) return "the earlier file has changed";
    if (names_in(folder.path()).size() != 1) return "a file was left over";
    write_checkpoint(path, second);
    const Checkpoint read = read_checkpoint(path);
    return same_numbers(read.state, second.state) && read.step == 2 ? "" : "another checkpoint was read";
  };
  const auto saves = [](Attempt& attempt) -> std::string {
    const Folder folder;
    State state;
    state.tensors = {{"x", arange(100)}};
    Checkpoints checkpoints(folder.path() / "all", {.keep = 2});
    checkpoints.save({.state = state, .step = 1, .metric = 0.5});
    checkpoints.save({.state = state, .step = 2, .metric = 0.7});
    attempt([&] { checkpoints.save({.state = state, .step = 3, .metric = 0.25}); });
    if (const auto newest = checkpoints.newest(); newest->checkpoint.step < 2 || !newest->damaged.empty())
      return "the newest checkpoint is lost";
    checkpoints.save({.state = state, .step = 3, .metric = 0.25});
    if (checkpoints.newest()->checkpoint.step != 3 || checkpoints.best()->step != 3) return "not saved again";
    const std::vector<std::string> names = names_in(folder.path() / "all");
    for (const std::string& name : names)
      if (!name.ends_with(".safetensors") && name.find("lock") == std::string::npos)
        return name + " was left over";
    return names.size() <= 4 ? "" : "an old checkpoint was left over";
  };
  const auto reads = [](Attempt& attempt) -> std::string {
    const Folder folder;
    SmallRun run(false), other(false);
    run.step();
    const auto path = folder.path() / "run.safetensors";
    write_checkpoint(path, {.state = run.state(), .step = 1, .metric = 0.5});
    const State before = other.state();
    if (!attempt([&] { other.load(read_checkpoint(path).state); })) {
      // Parts that were loaded before are taken back, which needs memory, too.
      if (attempt.how == Refuse::One && !same_numbers(other.state(), before)) return "a part was loaded";
      other.load(read_checkpoint(path).state);
    }
    return same_numbers(other.state(), run.state()) ? "" : "another state was loaded";
  };
  expect_refusals("write_checkpoint", writes, 50);
  expect_refusals("save", saves, 50);
  expect_refusals("read_checkpoint", reads, 50);
}

// All that an epoch hands out is right, whatever it could not hand out; and the next epoch is whole.
// A parallel loop needs no memory: it is done by those threads that there are.
TEST(NoMemory, AParallelLoopIsDoneBySomeThread) {
  for (const Refuse how : {Refuse::One, Refuse::AllFromOne})
    for (std::int64_t first = 0; first < 12; ++first)
      std::thread([&] {
        const ThreadCountScope three(3);
        std::atomic<index_t> done{0};
        Attempt attempt{.first = first, .how = how};
        EXPECT_TRUE(
            attempt([&] { parallel_for(10, 1, [&](index_t from, index_t to) { done += to - from; }); }));
        EXPECT_EQ(done, 10);
        // The thread is outside of the loop again.
        const Tensor p = parameter(ones({2}));
        Tape tape;
        EXPECT_TRUE(equal(tape.gradient(sum(p * p), p), full({2}, 2)));
      }).join();
}

// What cannot be read for want of memory is no damaged file, which the next save() would remove.
TEST(NoMemory, DoesNotMakeACheckpointADamagedOne) {
  const auto scenario = [](Attempt& attempt) -> std::string {
    const Folder folder;
    State state;
    state.tensors = {{"x", arange(100)}};
    {
      Checkpoints before(folder / "all");
      for (const int step : {1, 2}) before.save({.state = state, .step = step, .metric = step});
    }
    Checkpoints checkpoints(folder / "all");
    std::int64_t found = 0;
    if (attempt([&] { found = checkpoints.newest()->checkpoint.step; }) && found != 2)
      return "checkpoint " + std::to_string(found) + " was taken for the newest";
    checkpoints.save({.state = state, .step = 3, .metric = 3});
    if (checkpoints.best()->step != 1) return "another best one";
    return names_in(folder / "all") == std::vector<std::string>{"best.safetensors",
                                                                "step-00000002.safetensors",
                                                                "step-00000003.safetensors"}
               ? ""
               : "a checkpoint was removed";
  };
  expect_refusals("newest", scenario, 30);
  const auto better = [](Attempt& attempt) -> std::string {
    const Folder folder;
    State state;
    state.tensors = {{"x", arange(100)}};
    Checkpoints(folder / "all").save({.state = state, .step = 1, .metric = 1});
    Checkpoints checkpoints(folder / "all");
    attempt([&] { checkpoints.save({.state = state, .step = 2, .metric = 2}); });
    return checkpoints.best()->step == 1 ? "" : "a worse one is the best";
  };
  expect_refusals("best", better, 50);
}

TEST(NoMemory, InAnEpochOfALoader) {
  for (const int workers : {1, 3})
    for (const bool transforms : {false, true}) {
      const auto scenario = [=](Attempt& attempt) -> std::string {
        Generator generator(3);
        const Tensor x = uniform({22, 4, 4, 1}, 0, 1, generator), y = randint({22}, 0, 10, generator);
        const auto batches = [&](bool disturbed, std::vector<Batch>& found) {
          const auto read = [&] {
            const Loader loader(x, y,
                                {.batch_size = 5,
                                 .seed = 2,
                                 .transform = transforms ? random_shift(1) : Transform(),
                                 .workers = workers});
            for (const Batch& batch : loader.epoch(1)) found.push_back(batch);
          };
          if (disturbed) return attempt(read);
          read();
          return true;
        };
        const auto alike = [](const Batch& a, const Batch& b) {
          return a.number == b.number && a.first == b.first && equal(a.inputs, b.inputs) &&
                 equal(a.targets, b.targets);
        };
        std::vector<Batch> right, found, again;
        found.reserve(8);
        batches(false, right);
        const bool whole = batches(true, found);
        batches(false, again);
        if (whole && found.size() != right.size()) return "the epoch ended early, and nothing was thrown";
        for (std::size_t i = 0; i < found.size(); ++i)
          if (!alike(found[i], right[i])) return "another batch";
        if (again.size() != right.size()) return "another epoch";
        for (std::size_t i = 0; i < right.size(); ++i)
          if (!alike(again[i], right[i])) return "another epoch";
        return "";
      };
      expect_refusals(transforms ? "loader_with_transform" : "loader", scenario, 15);
    }
}

// A step that could not be made is asked for again: the epoch has ended then, and does not hand out memory that nobody filled.
TEST(NoMemory, AnEpochThatThrewHasEnded) {
  const auto scenario = [](Attempt& attempt) -> std::string {
    Generator generator(3);
    const Tensor x = uniform({22, 4}, 0, 1, generator), y = randint({22}, 0, 10, generator);
    const Loader loader(x, y, {.batch_size = 5, .shuffle = false});
    Loader::Epoch epoch = loader.epoch(0);
    auto at = epoch.begin();
    ++at;
    if (attempt([&] { ++at; })) return "";
    if (at != std::default_sentinel) return "a batch after the exception";
    for (const Batch& batch : epoch) return "batch " + std::to_string(batch.number) + " after the exception";
    return "";
  };
  expect_refusals("step_of_an_epoch", scenario, 3);
}

// The tape that was open goes on, and knows no parameter that it has no node for.
TEST(NoMemory, OnATapeThatGoesOn) {
  const auto scenario = [](Attempt& attempt) -> std::string {
    const Tensor p = parameter(tensor({1, 2})), q = parameter(tensor({3, 4}));
    const Tensor x = tensor({{1, 1}, {1, 1}});
    Tape tape;
    attempt([&] {
      Tensor y = p * q;
      for (int i = 0; i < 200; ++i) y = y + slice(p, 0, 2) * matmul(x, q);  // more than one block of nodes
      (void)tape.watch(y);
    });
    for (const Tensor& known : tape.parameters())
      if (known.shape() != p.shape()) return "a parameter of another shape";
    if (tape.graph().nodes.size() != static_cast<std::size_t>(tape.size())) return "a node is missing";
    return equal(tape.gradient(sum(p * q), p), q) ? "" : "another gradient";
  };
  expect_refusals("tape", scenario, 100);
}

// Each function that takes tensors, while a tape records it: the arguments are as they were.
TEST(NoMemory, InEveryFunction) {
  int tried = 0;
  for (const RightCall& row : right_calls()) {
    const auto scenario = [&](Attempt& attempt) -> std::string {
      std::vector<Tensor> arguments;
      for (const Argument& argument : row.arguments) arguments.push_back(argument.value);
      const Untouched before(arguments);
      attempt([&] {
        Tape tape;
        row.call(tape.watch(arguments, Constants::Keep));
      });
      return before.holds(arguments) && !is_recording() ? "" : "an argument, or the tape, was left changed";
    };
    const Refusals all = refuse_each(scenario, Refuse::One);
    EXPECT_EQ(all.wrong, "") << row.op;
    tried += all.tried;
  }
  std::printf("  functions: %d allocations refused\n", tried);
  EXPECT_GE(tried, 2000);
}

TEST(NoMemory, InAGradientCheck) {
  const auto scenario = [](Attempt& attempt) -> std::string {
    const ThreadCountScope two(2);
    Generator generator(4);
    const Tensor w = parameter(uniform({3, 3, 1, 2}, -1, 1, generator, DType::Float64));
    const Tensor x = uniform({1, 5, 5, 1}, -1, 1, generator, DType::Float64);
    const Tensor w_before = copy(w), x_before = copy(x);
    const auto check = [&] { return gradcheck([](const auto& in) { return conv2d(in[0], in[1]); }, {x, w}); };
    const std::string expected = check().str();
    std::string found;
    const auto disturbed = [&] { found = check().str(); };
    if (attempt(disturbed) && found != expected) return "another report, and nothing was thrown: " + found;
    if (!equal(w, w_before) || !equal(x, x_before)) return "an input was left changed";
    return check().str() == expected ? "" : "another report";
  };
  expect_refusals("gradcheck", scenario, 400);
}

// No exception leaves the C API: a call that finds no memory returns, and done again it does what it is for.
TEST(NoMemory, InACallOfTheCApi) {
  const Folder folder;
  const std::string path = (folder / "weights").string();
  const std::vector<float> x(32, 0.5F), y(6, 1);
  const tapegrad_shape of_x = {4, {2, 4, 4, 1}}, of_y = {2, {2, 3}};
  tapegrad_conv2d_options conv = tapegrad_conv2d_default();
  conv.in_channels = 1;
  conv.filters = 2;
  conv.kernel_size[0] = conv.kernel_size[1] = 3;
  tapegrad_dense_options dense = tapegrad_dense_default();
  dense.in_features = 8;
  dense.units = 3;
  dense.activation = TAPEGRAD_TANH;
  const tapegrad_adam_options adam = tapegrad_adam_default();
  std::vector<float> result(6), expected;
  const std::vector<std::function<int(tapegrad_net*)>> calls = {
      [&](tapegrad_net* net) { return tapegrad_set_threads(net, 1); },
      [&](tapegrad_net* net) { return tapegrad_add_conv2d(net, &conv); },
      [&](tapegrad_net* net) { return tapegrad_add_flatten(net); },
      [&](tapegrad_net* net) { return tapegrad_add_dense(net, &dense); },
      [&](tapegrad_net* net) { return tapegrad_use_adam(net, &adam); },
      [&](tapegrad_net* net) { return tapegrad_train_mse(net, x.data(), &of_x, y.data(), &of_y, nullptr); },
      [&](tapegrad_net* net) { return tapegrad_save_weights(net, path.c_str()); },
      [&](tapegrad_net* net) { return tapegrad_train_mse(net, x.data(), &of_x, y.data(), &of_y, nullptr); },
      [&](tapegrad_net* net) { return tapegrad_load_weights(net, path.c_str()); },
      [&](tapegrad_net* net) { return tapegrad_run(net, x.data(), &of_x, result.data(), 6, nullptr); },
  };
  const auto scenario = [&](Attempt& attempt) -> std::string {
    tapegrad_net* net = nullptr;
    std::size_t done = 0;
    const auto go_on = [&] {
      if (net == nullptr) net = tapegrad_net_new(1);
      while (net != nullptr && done < calls.size() && calls[done](net) == TAPEGRAD_OK) ++done;
      if (done < calls.size()) throw std::bad_alloc();
    };
    if (!attempt(go_on)) {
      const std::string error = tapegrad_last_error(net);
      if (error.empty()) return "no error is told";
      go_on();
    }
    tapegrad_net_free(net);
    if (expected.empty()) expected = result;
    return result == expected ? "" : "the net has gone on to other bits";
  };
  expect_refusals("c_api", scenario, 100);
}

}  // namespace
}  // namespace tapegrad::testing
