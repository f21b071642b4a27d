#include "tapegrad/io/checkpoint.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <optional>

#include "io/temporary.h"
#include "refuses.h"
#include "tapegrad/autograd/tape.h"
#include "tapegrad/io/safetensors.h"
#include "tapegrad/nn/layers.h"
#include "tapegrad/nn/losses.h"
#include "tapegrad/nn/normalization.h"
#include "tapegrad/ops/elementwise.h"
#include "tapegrad/ops/layout.h"
#include "tapegrad/ops/reduce.h"
#include "tapegrad/optim/average.h"
#include "tapegrad/optim/gradients.h"
#include "tapegrad/optim/optimizers.h"
#include "tapegrad/optim/plateau.h"
#include "tapegrad/optim/schedules.h"

namespace tapegrad::testing {
namespace {

State sample() {
  return {.tensors = {{"w", tensor({{1, 2, 3}, {4, 5, 6.5}})},
                      {"byte", tensor({7, 8, 9}, DType::UInt8)},
                      {"double", tensor({0.1, -0.0, 1e300}, DType::Float64)},
                      {"empty", zeros({0, 4}, DType::Int32)},
                      {"scalar", tensor(-5, DType::Int32)}},
          .numbers = {{"step", 12345}, {"third", 1.0 / 3.0}, {"tiny", 5e-324}, {"minus 0", -0.0}},
          .integers = {{"seed", ~std::uint64_t{0}}, {"odd", (std::uint64_t{1} << 53) + 1}}};
}

void expect_same(const State& a, const State& b) {
  ASSERT_EQ(a.tensors.size(), b.tensors.size());
  for (std::size_t i = 0; i < a.tensors.size(); ++i) {
    EXPECT_EQ(a.tensors[i].first, b.tensors[i].first);
    EXPECT_TRUE(equal(a.tensors[i].second, b.tensors[i].second)) << a.tensors[i].first;
  }
  EXPECT_EQ(a.numbers, b.numbers);
  EXPECT_EQ(a.integers, b.integers);
}

std::vector<std::string> names_in(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    names.push_back(entry.path().filename().string());
  std::ranges::sort(names);
  return names;
}

using Names = std::vector<std::string>;

// ---- One file
// --------------------------------------------------------------------------------------------------

TEST(Checkpoint, RoundTripIsExact) {
  const TemporaryFolder folder;
  const Checkpoint saved{.state = sample(), .step = 77, .metric = 0.1};
  write_checkpoint(folder / "x", saved);
  const Checkpoint back = read_checkpoint(folder / "x");
  expect_same(back.state, saved.state);
  EXPECT_TRUE(std::signbit(back.state.numbers.at("minus 0")));
  EXPECT_EQ(back.step, 77);
  EXPECT_EQ(back.metric, 0.1);
  write_checkpoint(folder / "y", back);
  EXPECT_EQ(read_bytes(folder / "x"), read_bytes(folder / "y"));

  write_checkpoint(folder / "x", {});
  const Checkpoint nothing = read_checkpoint(folder / "x");
  expect_same(nothing.state, {});
  EXPECT_EQ(nothing.step, 0);
  EXPECT_FALSE(nothing.metric);
}

TEST(Checkpoint, NumbersThatAreNotFinite) {
  const TemporaryFolder folder;
  const double nan = std::numeric_limits<double>::quiet_NaN();
  write_checkpoint(
      folder / "x",
      {.state = {.tensors = {{"x", full({1}, nan)}},
                 .numbers = {{"nan", nan}, {"-nan", -nan}, {"inf", HUGE_VAL}, {"-inf", -HUGE_VAL}}},
       .metric = -nan});
  const Checkpoint back = read_checkpoint(folder / "x");
  EXPECT_TRUE(std::isnan(back.state.tensors[0].second.item()));
  EXPECT_TRUE(std::isnan(back.state.numbers.at("nan")));
  EXPECT_TRUE(std::isnan(back.state.numbers.at("-nan")));
  EXPECT_TRUE(std::isnan(back.metric.value()));
  EXPECT_EQ(back.state.numbers.at("inf"), HUGE_VAL);
  EXPECT_EQ(back.state.numbers.at("-inf"), -HUGE_VAL);
}

TEST(Checkpoint, EveryFlippedBitIsAnErrorOrChangesNothing) {
  const TemporaryFolder folder;
  write_checkpoint(folder / "x", {.state = sample(), .step = 77, .metric = 0.1});
  const Bytes whole = read_bytes(folder / "x");
  int harmless = 0;
  for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
    Bytes flipped = whole;
    flipped[bit / 8] = static_cast<std::uint8_t>(flipped[bit / 8] ^ 1u << bit % 8);
    write_bytes(folder / "x", flipped);
    try {
      const Checkpoint back = read_checkpoint(folder / "x");
      expect_same(back.state, sample());
      EXPECT_EQ(back.step, 77);
      EXPECT_EQ(back.metric, 0.1);
      ++harmless;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find((folder / "x").string()), std::string::npos) << error.what();
    }
  }
  EXPECT_LE(harmless, 10);  // 5E-324 and 4e-324 are the number 5e-324; and there are blanks after the header
}

TEST(Checkpoint, EveryFlippedBitOfTheDataIsSeenByTheChecksum) {
  const TemporaryFolder folder;
  write_checkpoint(folder / "x", {.state = {.tensors = {{"x", zeros({25})}}}});
  Bytes bytes = read_bytes(folder / "x");
  for (std::size_t bit = 0; bit < 800; ++bit) {
    Bytes flipped = bytes;
    flipped[bytes.size() - 100 + bit / 8] ^= static_cast<std::uint8_t>(1u << bit % 8);
    write_bytes(folder / "x", flipped);
    EXPECT_TRUE(refuses("read_checkpoint", {"damaged", "checksum"}, [&] { read_checkpoint(folder / "x"); }));
  }
}

TEST(Checkpoint, EveryTruncationAndWhatIsAddedAreErrors) {
  const TemporaryFolder folder;
  write_checkpoint(folder / "x", {.state = sample()});
  const Bytes whole = read_bytes(folder / "x");
  for (std::size_t length = 0; length < whole.size(); ++length) {
    write_bytes(folder / "x", Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length)));
    EXPECT_THROW(read_checkpoint(folder / "x"), Error) << length;
  }
  for (const std::size_t more : {1u, 8u, 100000u}) {
    Bytes longer = whole;
    longer.insert(longer.end(), more, 0);
    write_bytes(folder / "x", longer);
    EXPECT_THROW(read_checkpoint(folder / "x"), Error) << more;
  }
}

// What is in the file, but in another order, under another name, of another type or shape.
TEST(Checkpoint, ChecksumIsOfNamesTypesAndShapesToo) {
  const TemporaryFolder folder;
  const State original = {
      .tensors = {{"a", zeros({2, 2})}, {"b", zeros({4})}}, .numbers = {{"n", 1}}, .integers = {{"i", 1}}};
  write_checkpoint(folder / "x", {.state = original});
  const State written = read_safetensors(folder / "x");
  const std::vector<std::function<void(State&)>> changes = {
      [](State& s) { std::swap(s.tensors[0], s.tensors[1]); },
      [](State& s) { std::swap(s.tensors[0].first, s.tensors[1].first); },
      [](State& s) { s.tensors[0].second = zeros({4}); },
      [](State& s) { s.tensors[1].second = zeros({2}, DType::Float64); },
      [](State& s) { s.tensors[1].second = zeros({4}, DType::Int32); },
      [](State& s) { s.tensors.pop_back(); },
      [](State& s) { s.tensors[0].first = ""; },
      [](State& s) { s.numbers["n"] = std::nextafter(1, 2); },
      [](State& s) { s.numbers["m"] = 1; },
      [](State& s) { s.numbers.clear(); },
      [](State& s) { s.integers["i"] = 2; },
      [](State& s) { s.integers.erase("i"); },
      [](State& s) { s.integers["tapegrad.step"] = 1; },
      [](State& s) { s.numbers["tapegrad.metric"] = 1; },
      [](State& s) { s.integers["tapegrad.checksum"] += 1; },
      [](State& s) { s.integers["tapegrad.checksum"] += std::uint64_t{1} << 32; },
  };
  for (std::size_t i = 0; i < changes.size(); ++i) {
    State changed = written;
    changes[i](changed);
    write_safetensors(folder / "x", changed);
    EXPECT_TRUE(refuses("read_checkpoint", {"damaged"}, [&] { read_checkpoint(folder / "x"); })) << i;
  }
  write_safetensors(folder / "x", written);
  expect_same(read_checkpoint(folder / "x").state, original);
}

TEST(Checkpoint, OtherFilesAreRefused) {
  const TemporaryFolder folder;
  write_safetensors(folder / "weights", {.tensors = {{"w", zeros({3})}}});
  EXPECT_TRUE(refuses("read_checkpoint", {"weights", "not a checkpoint"},
                      [&] { read_checkpoint(folder / "weights"); }));
  EXPECT_TRUE(refuses("read_checkpoint", {"No such file"}, [&] { read_checkpoint(folder / "none"); }));
  EXPECT_TRUE(refuses("write_checkpoint", {"'tapegrad.x'"}, [&] {
    write_checkpoint(folder / "y", {.state = {.numbers = {{"tapegrad.x", 1}}}});
  }));
  EXPECT_TRUE(
      refuses("write_checkpoint", {"step", "got -1"}, [&] { write_checkpoint(folder / "y", {.step = -1}); }));
  EXPECT_EQ(folder.entries(), 1u);
}

// Here the checksum fits.
TEST(Checkpoint, StepsThatNoRunHasAreRefused) {
  const TemporaryFolder folder;
  write_checkpoint(folder / "written", {.step = 3});
  const auto read = [&] { return read_checkpoint(folder / "x").step; };
  const auto write = [&](std::optional<std::uint64_t> step) {
    State state = read_safetensors(folder / "written");
    state.integers.erase("tapegrad.step");
    if (step) state.integers["tapegrad.step"] = *step;
    write_safetensors(folder / "x", state);
    const std::string message = error_of("read_checkpoint", read), before = "that of its content ";
    expect_contains(message, before);
    state.integers["tapegrad.checksum"] =
        std::stoull(message.substr(message.find(before) + before.size(), 8), nullptr, 16);
    write_safetensors(folder / "x", state);
  };
  constexpr std::uint64_t kLargest = std::numeric_limits<std::int64_t>::max();
  for (const auto& step :
       {std::optional<std::uint64_t>(), std::optional(kLargest + 1), std::optional(~std::uint64_t{0})}) {
    write(step);
    EXPECT_TRUE(refuses("read_checkpoint", {"not a checkpoint: it has no step"}, read));
  }
  write(kLargest);
  EXPECT_EQ(read(), std::numeric_limits<std::int64_t>::max());
}

TEST(Checkpoint, WhatHappensAfterwardsDoesNotReachIt) {
  const TemporaryFolder folder;
  Tensor p = parameter(tensor({1, 2}));
  Adam adam({p});
  adam.step(Gradients({p}, {tensor({1, 1})}));
  const Tensor then = TensorAccess::clone(adam.state().tensors[0].second);
  write_checkpoint(folder / "x", {.state = adam.state()});
  adam.step(Gradients({p}, {tensor({5, 5})}));
  const Checkpoint back = read_checkpoint(folder / "x");
  EXPECT_TRUE(equal(back.state.tensors[0].second, then));
  adam.load_state(back.state);
  adam.step(Gradients({p}, {tensor({5, 5})}));
  EXPECT_TRUE(equal(back.state.tensors[0].second, then))
      << "the optimizer works in the memory of what it loaded";
}

// ---- A whole run
// -----------------------------------------------------------------------------------------------

// Everything that can have a state, in one training loop.
struct Training {
  explicit Training(std::uint64_t start) : generator(start), seed(start) {
    Generator drawn(start);
    net.add(Conv2D({.in_channels = 1, .filters = 4, .kernel_size = 3, .strides = 2, .padding = Padding::Same},
                   drawn));
    net.add(BatchNorm({.channels = 4}));
    net.add(Flatten());
    net.add(Dropout(0.25, drawn));
    net.add(Dense({.in_features = 16, .units = 3}, drawn));
    parameters = net.parameters();
    adam.emplace(parameters, AdamOptions{.learning_rate = 0.01 * static_cast<double>(1 + start)});
    rmsprop.emplace(std::vector{extra}, RMSpropOptions{.momentum = 0.5, .centered = true});
    average.emplace(parameters);
    state.add("net", net)
        .add("adam", *adam)
        .add("extra", extra)
        .add("rmsprop", *rmsprop)
        .add("schedule", schedule)
        .add("plateau", plateau)
        .add("stopping", stopping)
        .add("average", *average)
        .add("gradients", accumulator)
        .add("generator", generator)
        .add("step", step)
        .add("epoch", epoch)
        .add("batch", batch)
        .add("loss", loss)
        .add("better", better)
        .add("seed", seed);
    state.require("samples", ~std::uint64_t{0}).require("rate", 0.1);
  }

  // One step, and its loss.
  void train() {
    const Tensor x = normal({2, 4, 4, 1}, 0, 1, generator);
    adam->set_learning_rate(plateau.learning_rate() * schedule.learning_rate());
    Tape tape;
    const Tensor value = mse_loss(net(x), zeros({2, 3})) + sum(square(extra));
    std::vector<Tensor> sources = parameters;
    sources.push_back(extra);
    const Gradients gradients = tape.gradient(value, sources);
    rmsprop->step(gradients.of({extra}));
    accumulator.add(gradients.of(parameters));
    if (step % 3 == 2) {
      adam->step(accumulator.take());
      average->update();
    }
    schedule.step();
    loss = value.item();
    plateau.step(loss);
    stopping.step(loss);
    better = stopping.improved();
    ++step;
  }

  Sequential net;
  Tensor extra = parameter(tensor({1, 2, 3}));
  std::vector<Tensor> parameters;
  std::optional<Adam> adam;
  std::optional<RMSprop> rmsprop;
  Schedule schedule = cosine_decay({.learning_rate = 1, .steps = 20});
  ReduceOnPlateau plateau{{.learning_rate = 0.01, .factor = 0.5, .patience = 1, .cooldown = 1}};
  EarlyStopping stopping;
  std::optional<ExponentialMovingAverage> average;
  GradientAccumulator accumulator;
  Generator generator;
  index_t step = 0, epoch = 0;
  int batch = 0;
  double loss = 0;
  bool better = false;
  std::uint64_t seed;
  TrainingState state;
};

TEST(TrainingState, ARunContinuesWithTheSameBits) {
  const TemporaryFolder folder;
  for (index_t cut = 0; cut < 8; ++cut) {
    Training whole(1), half(1), continued(2);
    for (index_t i = 0; i < 12; ++i) whole.train();
    for (index_t i = 0; i < cut; ++i) half.train();
    continued.train();  // it may have gone somewhere else before
    write_checkpoint(folder / "x", {.state = half.state.state(), .step = half.step});
    half.train();
    continued.state.load_state(read_checkpoint(folder / "x").state);
    EXPECT_EQ(continued.step, cut);
    EXPECT_EQ(continued.seed, 1u);
    for (index_t i = cut; i < 12; ++i) continued.train();
    expect_same(continued.state.state(), whole.state.state());
  }
}

// Restored one after the other, the last part would decide about the elements that others have, too.
TEST(TrainingState, PartsThatShareElementsAreRefused) {
  Generator generator(1);
  Sequential net{Dense({.in_features = 2, .units = 3}, generator),
                 Dense({.in_features = 3, .units = 1}, generator)};
  Adam adam(net.parameters());
  Tensor kernel = net.parameters()[0], half = slice(net.parameters()[2], 1, 3), empty = zeros({0});
  TrainingState fine;
  fine.add("net", net).add("adam", adam).add("nothing", empty).add("nothing again", empty);
  const State saved = fine.state();
  fine.load_state(saved);
  for (Tensor* shared : {&kernel, &half})
    for (const bool first : {true, false}) {
      TrainingState run;
      if (first) run.add("part", *shared);
      run.add("net", net).add("adam", adam);
      if (!first) run.add("part", *shared);
      const std::string other = shared == &kernel ? "'net/0.kernel'" : "'net/1.kernel'";
      EXPECT_TRUE(refuses("training_state", {"'part'", other, "share"}, [&] { (void)run.state(); }));
      EXPECT_TRUE(refuses("training_state", {"'part'", other}, [&] { run.load_state(saved); }));
    }
  TrainingState twice;
  twice.add("net", net).add("layer", net[1]);
  EXPECT_TRUE(refuses("training_state", {"'net/1.", "'layer/"}, [&] { (void)twice.state_view(); }));
  // What one part shows twice, tied weights, is its own affair.
  struct Tied : Module {
    explicit Tied(Tensor weights) : w(std::move(weights)) {}
    Tensor forward(const Tensor& x) override { return x * w * w; }
    void visit(Visitor& visitor) override { visitor("a", w), visitor("b", w); }
    Tensor w;
  } tied(parameter(ones({2})));
  TrainingState of_tied;
  of_tied.add("tied", tied).add("net", net);
  of_tied.load_state(of_tied.state());
}

// Whatever of the state is left out or damaged: an error, and nothing has changed.
TEST(TrainingState, WhatDoesNotFitChangesNothing) {
  Training other(3);
  for (int i = 0; i < 4; ++i) other.train();
  const State good = other.state.state();
  Training run(1);
  for (int i = 0; i < 5; ++i) run.train();
  State before = run.state.state();
  for (auto& [name, value] : before.tensors) value = TensorAccess::clone(value);

  int tried = 0;
  const auto refused = [&](const State& state, const std::string& what) {
    EXPECT_TRUE(refuses("training_state", {}, [&] { run.state.load_state(state); })) << what;
    expect_same(run.state.state(), before);
    ++tried;
  };
  for (std::size_t i = 0; i < good.tensors.size(); ++i) {
    const std::string name = good.tensors[i].first;
    if (name.starts_with("gradients/")) continue;  // it takes any gradients
    State missing = good, misshapen = good, renamed = good;
    missing.tensors.erase(missing.tensors.begin() + static_cast<std::ptrdiff_t>(i));
    misshapen.tensors[i].second = zeros({9, 9});
    renamed.tensors[i].first += "x";
    refused(missing, name);
    refused(misshapen, name);
    refused(renamed, name);
  }
  for (const auto& [name, value] : good.numbers) {
    State missing = good;
    missing.numbers.erase(name);
    // No best value is what there is before the first one.
    if (!name.ends_with("/best")) refused(missing, name);
  }
  for (const auto& [name, value] : good.integers) {
    State missing = good;
    missing.integers.erase(name);
    refused(missing, name);
  }
  for (const char* name : {"net2/0.kernel", "stranger", "/", "nets"}) {
    State more = good;
    more.tensors.emplace_back(name, zeros({1}));
    refused(more, name);
    more = good;
    more.numbers[name] = 1;
    refused(more, name);
    more = good;
    more.integers[name] = 1;
    refused(more, name);
  }
  State wrong = good;
  wrong.integers["better"] = 2;  // a bool
  refused(wrong, "better");
  wrong = good;
  wrong.integers["batch"] = std::uint64_t{1} << 32;  // an int
  refused(wrong, "batch");
  wrong = good;
  wrong.integers["samples"] -= 1;  // the same double
  refused(wrong, "samples");
  wrong.integers["samples"] += 1;
  wrong.numbers["rate"] = 0.25;
  refused(wrong, "rate");
  EXPECT_GT(tried, 80);
  EXPECT_TRUE(refuses("training_state", {"'rate'", "the value must be 0.25, as in the saved run, got 0.1"},
                      [&] { run.state.load_state(wrong); }));
  EXPECT_TRUE(refuses("training_state", {"'adam'", "[Adam]", "0.mean"}, [&] {
    wrong = good;
    std::erase_if(wrong.tensors, [](const auto& named) { return named.first == "adam/0.mean"; });
    wrong.tensors.emplace_back("adam/other", zeros({1}));
    run.state.load_state(wrong);
  }));
  run.state.load_state(good);
  expect_same(run.state.state(), good);
}

TEST(TrainingState, NumbersOfEveryKind) {
  std::int8_t small = -128;
  std::int64_t negative = std::numeric_limits<std::int64_t>::min();
  std::uint64_t most = ~std::uint64_t{0};
  double tiny = 5e-324;
  bool yes = true;
  TrainingState run;
  run.add("small", small).add("negative", negative).add("most", most).add("tiny", tiny).add("yes", yes);
  const TemporaryFolder folder;
  write_checkpoint(folder / "x", {.state = run.state()});
  small = 0;
  negative = 0;
  most = 0;
  tiny = 0;
  yes = false;
  run.load_state(read_checkpoint(folder / "x").state);
  EXPECT_EQ(small, -128);
  EXPECT_EQ(negative, std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(most, ~std::uint64_t{0});
  EXPECT_EQ(tiny, 5e-324);
  EXPECT_TRUE(yes);
}

TEST(TrainingState, NamesOfParts) {
  int number = 0;
  TrainingState run;
  run.add("a", number);
  EXPECT_TRUE(refuses("training_state", {"two parts", "'a'"}, [&] { run.add("a", number); }));
  EXPECT_TRUE(refuses("training_state", {"''"}, [&] { run.add("", number); }));
  EXPECT_TRUE(refuses("training_state", {"'a/b'"}, [&] { run.require("a/b", 1); }));
  run.load_state({.integers = {{"a", 3}}});
  EXPECT_EQ(number, 3);
}

// ---- A folder of them
// ------------------------------------------------------------------------------------------

Checkpoint at_step(std::int64_t step, std::optional<double> metric = {}) {
  return {
      .state = {.tensors = {{"x", full({4}, static_cast<double>(step))}}}, .step = step, .metric = metric};
}

// A folder that cannot be looked into is not one without a checkpoint. (A link to itself: root may read the rest.)
TEST(Checkpoints, OfAnUnreadableFolderAreNotNone) {
  const TemporaryFolder folder;
  std::filesystem::create_symlink("loop", folder / "loop");
  const Checkpoints checkpoints(folder / "loop");
  EXPECT_TRUE(
      refuses("checkpoints", {"look for", "loop", "best.safetensors"}, [&] { (void)checkpoints.best(); }));
}

TEST(Checkpoints, KeepsTheNewest) {
  const TemporaryFolder folder;
  Checkpoints checkpoints(folder / "new/run/", {.keep = 2});
  EXPECT_EQ(checkpoints.folder(), folder / "new/run");
  EXPECT_FALSE(checkpoints.newest());
  EXPECT_FALSE(checkpoints.best());
  EXPECT_EQ(folder.entries(), 0u) << "reading made something";
  for (const std::int64_t step : {0, 5, 99999999, 100000000, 1000000000}) {
    checkpoints.save(at_step(step));
    const auto newest = checkpoints.newest();
    ASSERT_TRUE(newest);
    expect_same(newest->checkpoint.state, at_step(step).state);
    EXPECT_EQ(newest->checkpoint.step, step);
    EXPECT_TRUE(newest->damaged.empty());
  }
  EXPECT_EQ(names_in(folder / "new/run"),
            (Names{"step-100000000.safetensors", "step-1000000000.safetensors"}));
  EXPECT_TRUE(refuses("checkpoints", {"keep must be at least 1, got 0"},
                      [&] { Checkpoints(folder / "x", {.keep = 0}); }));
}

TEST(Checkpoints, KeepsTheBest) {
  for (const bool higher : {false, true}) {
    const TemporaryFolder folder;
    const double sign = higher ? -1 : 1;
    std::optional<std::int64_t> best;
    std::int64_t step = 0;
    const auto save = [&](std::optional<double> metric) {
      Checkpoints checkpoints(folder.path(), {.keep = 1, .higher_is_better = higher});  // as after a restart
      checkpoints.save(at_step(++step, metric));
      const auto found = checkpoints.best();
      EXPECT_EQ(found.has_value(), best.has_value());
      if (found && best) {
        EXPECT_EQ(found->step, *best);
        expect_same(found->state, at_step(*best).state);
      }
    };
    save(std::nullopt);
    save(std::nan(""));
    save(sign * -HUGE_VAL);
    best = 4;
    save(sign * 3);
    save(sign * 4);
    save(sign * 3);  // no better
    best = 7;
    save(sign * 2);
    save(std::nullopt);
    save(std::nan(""));
    EXPECT_EQ(folder.entries(), 2u);

    Bytes bytes = read_bytes(folder / "best.safetensors");
    bytes.back() ^= 1;
    write_bytes(folder / "best.safetensors", bytes);
    Checkpoints checkpoints(folder.path(), {.higher_is_better = higher});
    EXPECT_TRUE(refuses("read_checkpoint", {"best.safetensors", "damaged"}, [&] { checkpoints.best(); }));
    checkpoints.save(at_step(20, 9));
    EXPECT_EQ(checkpoints.best()->step, 20) << "a damaged one is no measure";
    checkpoints.save(at_step(21, 9));
    EXPECT_EQ(checkpoints.best()->step, 20);
  }
}

TEST(Checkpoints, DamagedOnesArePassedOver) {
  const TemporaryFolder folder;
  Checkpoints checkpoints(folder.path(), {.keep = 3});
  for (const std::int64_t step : {1, 2, 3}) checkpoints.save(at_step(step));
  Bytes bytes = read_bytes(folder / "step-00000003.safetensors");
  bytes.back() ^= 1;
  write_bytes(folder / "step-00000003.safetensors", bytes);
  write_bytes(folder / "step-00000002.safetensors", {});
  const auto newest = checkpoints.newest();
  ASSERT_TRUE(newest);
  EXPECT_EQ(newest->checkpoint.step, 1);
  EXPECT_EQ(newest->path, folder / "step-00000001.safetensors");
  ASSERT_EQ(newest->damaged.size(), 2u);
  expect_contains(newest->damaged[0], "step-00000003.safetensors");
  expect_contains(newest->damaged[1], "step-00000002.safetensors");

  // The run goes on from there, and those that were damaged do not stand in for what is new.
  checkpoints.save(at_step(2));
  EXPECT_EQ(names_in(folder.path()), (Names{"step-00000001.safetensors", "step-00000002.safetensors"}));
  EXPECT_EQ(checkpoints.newest()->checkpoint.step, 2);
  write_bytes(folder / "step-00000002.safetensors", {});
  EXPECT_EQ(checkpoints.newest()->checkpoint.step, 1);
  checkpoints.save(at_step(7));
  EXPECT_EQ(names_in(folder.path()), (Names{"step-00000001.safetensors", "step-00000007.safetensors"}));
  checkpoints.save(at_step(8));
  EXPECT_EQ(folder.entries(), 3u);

  for (const char* name :
       {"step-00000001.safetensors", "step-00000007.safetensors", "step-00000008.safetensors"})
    write_bytes(folder / name, {});
  EXPECT_TRUE(refuses("checkpoints", {"none of the 3", "step-00000001", "step-00000007"},
                      [&] { checkpoints.newest(); }));
}

TEST(Checkpoints, OtherFilesStay) {
  const TemporaryFolder folder;
  const Names others = {"notes.txt",
                        "step-1.safetensors.bak",
                        "step-.safetensors",
                        "step--1.safetensors",
                        "step-1x.safetensors",
                        "step-99999999999999999999.safetensors",
                        "x.tmp"};
  for (const std::string& name : others) write_bytes(folder / name, {1});
  for (const char* leftover : {"step-00000001.safetensors.123-0.tmp", "best.safetensors.99-1.tmp"})
    write_bytes(folder / leftover, {1});
  Checkpoints checkpoints(folder.path(), {.keep = 1});
  EXPECT_FALSE(checkpoints.newest());
  for (const std::int64_t step : {1, 2, 3}) checkpoints.save(at_step(step, 1.0));
  Names expected = others;
  expected.insert(expected.end(), {"best.safetensors", "step-00000003.safetensors"});
  std::ranges::sort(expected);
  EXPECT_EQ(names_in(folder.path()), expected);
}

TEST(Checkpoints, AnotherRunBeginsAnew) {
  const TemporaryFolder folder;
  for (std::int64_t round = 1; round <= 3; ++round) {
    Checkpoints checkpoints(folder / "run");
    const std::optional<std::filesystem::path> aside = checkpoints.set_aside();
    EXPECT_EQ(aside.has_value(), round > 1);
    EXPECT_FALSE(checkpoints.newest());
    EXPECT_FALSE(checkpoints.best());
    checkpoints.save(at_step(round, static_cast<double>(round)));
    EXPECT_EQ(checkpoints.best()->step, round);
    if (round > 1) {
      EXPECT_EQ(*aside, folder / (round == 2 ? "run.old" : "run.old2"));
      EXPECT_EQ(Checkpoints(*aside).newest()->checkpoint.step, round - 1);
    }
  }
  EXPECT_EQ(Checkpoints(folder / "run.old").newest()->checkpoint.step, 1) << "an earlier run is never lost";
  EXPECT_EQ(folder.entries(), 3u);
}

TEST(Checkpoints, OneRunAtATime) {
  const TemporaryFolder folder;
  std::optional<Checkpoints> first(std::in_place, folder.path());
  Checkpoints second(folder.path());
  first->save(at_step(1));
  EXPECT_TRUE(
      refuses("checkpoints", {"another run", folder.path().string()}, [&] { second.save(at_step(2)); }));
  EXPECT_TRUE(refuses("checkpoints", {"another run"}, [&] { second.set_aside(); }));
  EXPECT_EQ(second.newest()->checkpoint.step, 1) << "anybody may read";
  first.reset();
  second.save(at_step(2));
}

TEST(Checkpoints, ErrorsOfTheSystem) {
  const TemporaryFolder folder;
  write_bytes(folder / "file", {});
  Checkpoints in_a_file(folder / "file");
  EXPECT_TRUE(refuses("checkpoints", {"file", "directory"}, [&] { in_a_file.save(at_step(1)); }));
  EXPECT_TRUE(refuses("checkpoints", {"file", "directory"}, [&] { in_a_file.newest(); }));
}

// ---- Sudden ends
// -----------------------------------------------------------------------------------------------

// Runs f in a process of its own; how that ended.
template <class F>
int in_another_process(F f) {
  const pid_t child = ::fork();
  if (child == 0) {
    f();
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return status;
}

void expect_newest(const std::filesystem::path& folder, std::initializer_list<std::int64_t> steps,
                   const std::string& after) {
  const auto newest = Checkpoints(folder).newest();
  ASSERT_TRUE(newest) << after;
  EXPECT_NE(std::ranges::find(steps, newest->checkpoint.step), steps.end())
      << newest->checkpoint.step << " " << after;
  EXPECT_TRUE(newest->damaged.empty()) << after << ": " << newest->damaged.front();
  expect_same(newest->checkpoint.state, at_step(newest->checkpoint.step).state);
}

// No file may become longer than `most`: as on a full disk, with another error.
void limit_files(std::size_t most, bool killed) {
  ::signal(SIGXFSZ, killed ? SIG_DFL : SIG_IGN);
  const rlimit limit{most, most}, no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  ::setrlimit(RLIMIT_FSIZE, &limit);
}

TEST(Checkpoints, ADiskThatIsFullAfterAnyByte) {
  const TemporaryFolder folder;
  {
    Checkpoints checkpoints(folder.path(), {.keep = 1});
    checkpoints.save(at_step(1, 1.0));
  }
  const std::size_t size = read_bytes(folder / "step-00000001.safetensors").size();
  for (std::size_t most = 0; most < size; most += 7) {
    const int status = in_another_process([&] {
      limit_files(most, false);
      try {
        Checkpoints(folder.path(), {.keep = 1}).save(at_step(2, 0.5));
      } catch (const Error& error) {
        ::_exit(std::string(error.what()).find("File too large") != std::string::npos ? 7 : 8);
      }
    });
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 7) << status;
    EXPECT_EQ(names_in(folder.path()), (Names{"best.safetensors", "step-00000001.safetensors"})) << most;
    expect_newest(folder.path(), {1}, std::to_string(most));
  }
}

TEST(Checkpoints, KilledAfterAnyByte) {
  const TemporaryFolder folder;
  Checkpoints(folder.path(), {.keep = 1}).save(at_step(1, 1.0));
  const std::size_t size = read_bytes(folder / "step-00000001.safetensors").size();
  for (std::size_t most = 0; most < size; most += 7) {
    const int status = in_another_process([&] {
      limit_files(most, true);
      Checkpoints(folder.path(), {.keep = 1}).save(at_step(2, 0.5));
    });
    EXPECT_TRUE(WIFSIGNALED(status)) << status;
    EXPECT_LE(folder.entries(), 3u) << "leftovers pile up";
    expect_newest(folder.path(), {1}, std::to_string(most));
  }
  Checkpoints(folder.path(), {.keep = 1}).save(at_step(2, 0.5));
  EXPECT_EQ(names_in(folder.path()), (Names{"best.safetensors", "step-00000002.safetensors"}));
}

// Before the first system call of a save, before the second one, ... until it gets to its end.
TEST(Checkpoints, KilledAtEverySystemCall) {
  for (int calls = 0;; ++calls) {
    const TemporaryFolder folder;
    Checkpoints(folder.path(), {.keep = 1}).save(at_step(1, 1.0));
    const pid_t child = ::fork();
    if (child == 0) {
      if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(9);
      ::raise(SIGSTOP);
      Checkpoints(folder.path(), {.keep = 1}).save(at_step(2, 0.5));
      ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    if (WIFEXITED(status)) GTEST_SKIP() << "processes cannot be traced here";
    for (int i = 0; i <= calls && WIFSTOPPED(status); ++i) {  // it stops before each call and after it
      ::ptrace(PTRACE_SYSCALL, child, nullptr, nullptr);
      ::waitpid(child, &status, 0);
    }
    const bool ended = WIFEXITED(status);
    if (!ended) {
      ::kill(child, SIGKILL);
      ::waitpid(child, &status, 0);
      ASSERT_TRUE(WIFSIGNALED(status));
    }
    expect_newest(folder.path(), {1, 2}, std::to_string(calls));
    const auto best = Checkpoints(folder.path()).best();
    ASSERT_TRUE(best) << calls;
    if (Checkpoints(folder.path()).newest()->checkpoint.step == 2) {
      EXPECT_EQ(best->step, 2) << "nobody will save that step again";
    }
    expect_same(best->state, at_step(best->step).state);
    Checkpoints(folder.path(), {.keep = 1}).save(at_step(3, 0.25));
    EXPECT_EQ(names_in(folder.path()), (Names{"best.safetensors", "step-00000003.safetensors"})) << calls;
    if (ended) {
      EXPECT_GT(calls, 30) << "two files were written";
      break;
    }
  }
}

}  // namespace
}  // namespace tapegrad::testing
