// As autograd/callbacks_test.cpp, for the callbacks of modules, optimizers, loaders and checks: each function that a
// callback may call works or throws an Error, and what comes after is as right as before.

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tapegrad/tapegrad.h"

namespace tapegrad {
namespace {

using Function = std::function<void()>;

struct Own : Module {
  Own() = default;
  Own(const Own& other, Cloning) : w(other.w), in_forward(other.in_forward), in_visit(other.in_visit) {}
  Tensor forward(const Tensor& x) override {
    if (in_forward) in_forward();
    return x * w;
  }
  void visit(Visitor& visitor) override {
    if (in_visit) in_visit();
    visitor("w", w);
  }
  Tensor w = parameter(full({2}, 3.0));
  Function in_forward, in_visit;
};

// What callbacks may call functions on.
struct World {
  std::unique_ptr<Own> net = std::make_unique<Own>();
  std::unique_ptr<Adam> adam = std::make_unique<Adam>(net->parameters());
  Generator generator{1};
  Tensor x = ones({4, 2}), y = zeros({4, 2});
  std::function<Tensor(Tensor)> in_transform;
  std::optional<Loader> loader;
  std::optional<Loader::Epoch> epoch;
  std::optional<Tape> tape;
  std::optional<NoGrad> pause;
  State saved = net->state();

  Gradients gradients() {
    const NoGrad no_grad;
    Tape own;
    return own.gradient(mse_loss((*net)(x), y), net->parameters());
  }
};

const std::vector<std::pair<std::string, std::function<void(World&)>>>& functions() {
  static const std::vector<std::pair<std::string, std::function<void(World&)>>> all = {
      {"nothing", [](World&) {}},
      {"call", [](World& w) { (void)(*w.net)(w.x); }},
      {"gradient and step", [](World& w) { w.adam->step(w.gradients()); }},
      {"state", [](World& w) { (void)w.net->state(); }},
      {"load_state", [](World& w) { w.net->load_state(w.saved); }},
      {"state of the optimizer", [](World& w) { w.adam->load_state(w.adam->state()); }},
      {"parameters", [](World& w) { (void)w.net->named_parameters(); }},
      {"freeze and unfreeze", [](World& w) { w.net->freeze(), w.net->unfreeze(); }},
      {"train", [](World& w) { w.net->eval(), w.net->train(); }},
      {"to", [](World& w) { w.net->to(DType::Float64), w.net->to(DType::Float32); }},
      {"clone", [](World& w) { (void)clone(*w.net); }},
      {"summary",
       [](World& w) {
         (void)w.net->summary(Shape{4, 2});
       }},
      {"an epoch of its own",
       [](World& w) {
         for (const Batch& batch : Loader(Samples(w.x), {}, {.batch_size = 2}).epoch(0)) (void)batch;
       }},
      {"another epoch of the loader",
       [](World& w) {
         for (const Batch& batch : w.loader->epoch(1)) (void)batch;
       }},
      {"a step of the epoch",
       [](World& w) {
         if (w.epoch) ++w.epoch->begin();
       }},
      {"end of the loader", [](World& w) { w.loader.reset(); }},
      {"gradcheck",
       [](World&) {
         (void)gradcheck([](const auto& in) { return square(in[0]); }, {ones({2}, DType::Float64)});
       }},
      {"hessian", [](World& w) { (void)hessian([](const auto& in) { return sum(in[0]); }, {w.x}); }},
      {"batch_gradient",
       [](World& w) {
         (void)batch_gradient([&](const auto& in) { return mean(in[0] * w.net->w); }, {w.x},
                              w.net->parameters());
       }},
      {"checkpoint", [](World& w) { (void)checkpoint([](const auto& in) { return exp(in[0]); }, {w.x}); }},
      {"a tape that stays", [](World& w) { w.tape.emplace(); }},
      {"a pause that stays", [](World& w) { w.pause.emplace(); }},
      {"draw", [](World& w) { (void)normal({3}, 0, 1, w.generator); }},
      {"draw one", [](World& w) { (void)w.generator.uniform(); }},
      {"release_memory", [](World&) { release_memory(); }},
      {"throw an int", [](World&) { throw 7; }},
      {"throw an Error", [](World&) { throw Error("mine", "on purpose"); }},
  };
  return all;
}

// Each runs its callback in some way, once or more.
const std::vector<std::pair<std::string, std::function<void(World&, const Function&)>>>& callbacks() {
  static const auto double_of = [](const auto& in) { return square(in[0]); };
  static const std::vector<std::pair<std::string, std::function<void(World&, const Function&)>>> all = {
      {"forward",
       [](World& w, const Function& f) {
         w.net->in_forward = f;
         (void)(*w.net)(w.x);
       }},
      {"forward on a tape",
       [](World& w, const Function& f) {
         w.net->in_forward = f;
         (void)w.gradients();
       }},
      {"forward in batch_gradient",
       [](World& w, const Function& f) {
         w.net->in_forward = f;
         const ThreadCountScope one(1);
         (void)batch_gradient([&](const auto& in) { return mean((*w.net)(in[0])); }, {w.x},
                              w.net->parameters(), {.chunk = 2});
       }},
      {"forward in summary",
       [](World& w, const Function& f) {
         w.net->in_forward = f;
         (void)w.net->summary(Shape{4, 2});
       }},
      {"visit",
       [](World& w, const Function& f) {
         w.net->in_visit = f;
         (void)w.net->parameters();
       }},
      {"visit in load_state",
       [](World& w, const Function& f) {
         w.net->in_visit = f;
         w.net->load_state(w.saved);
       }},
      {"visitor",
       [](World& w, const Function& f) {
         Visitor visitor([&](const std::string&, Tensor&) { f(); });
         w.net->visit(visitor);
       }},
      {"activation",
       [](World& w, const Function& f) {
         Dense dense({.in_features = 2,
                      .units = 2,
                      .activation =
                          [&](const Tensor& x) {
                            f();
                            return x;
                          }},
                     w.generator);
         (void)dense(w.x);
       }},
      {"initializer",
       [](World& w, const Function& f) {
         const auto init = [&](const Shape& shape, Generator&, DType dtype) {
           f();
           return zeros(shape, dtype);
         };
         const Dense dense({.in_features = 2, .units = 2, .kernel_initializer = init}, w.generator);
       }},
      {"transform",
       [](World& w, const Function& f) {
         w.in_transform = [&](Tensor x) {
           f();
           return x;
         };
         w.epoch.emplace(w.loader->epoch(0));
         for (const Batch& batch : *w.epoch) (void)batch;
       }},
      {"reader of samples",
       [](World& w, const Function& f) {
         const Samples samples(Shape{4, 2}, DType::Float32, [&](index_t) {
           f();
           return ones({2});
         });
         (void)read_all(samples);
         w.in_transform = nullptr;
       }},
      {"schedule",
       [](World&, const Function& f) {
         (void)Schedule([&](std::int64_t) {
           f();
           return 1.0;
         }).learning_rate();
       }},
      {"gradcheck",
       [](World&, const Function& f) {
         (void)gradcheck(
             [&](const auto& in) {
               f();
               return square(in[0]);
             },
             {ones({2}, DType::Float64)});
       }},
      {"gradcheck_parameters",
       [](World& w, const Function& f) {
         w.net->to(DType::Float64);
         const Tensor x = ones({4, 2}, DType::Float64);
         w.net->in_forward = f;
         (void)gradcheck_parameters([&] { return (*w.net)(x); }, w.net->state_view());
       }},
      {"backward pass of gradcheck",
       [](World&, const Function& f) {
         (void)gradcheck_backward(double_of,
                                  [&](const auto& in, const Tensor&, const Tensor& dy) {
                                    f();
                                    return std::vector<Tensor>{2.0 * in[0] * dy};
                                  },
                                  {ones({2}, DType::Float64)});
       }},
      {"function of hvp",
       [](World&, const Function& f) {
         (void)hvp(
             [&](const auto& in) {
               f();
               return sum(square(in[0]));
             },
             {ones({2})}, {ones({2})});
       }},
  };
  return all;
}

TEST(CallbacksOfModulesAndData, MayCallEveryFunction) {
  int worked = 0, refused = 0;
  for (const auto& [callback, run] : callbacks())
    for (const auto& [function, f] : functions()) {
      SCOPED_TRACE(function + " in " + callback);
      World w;
      w.loader.emplace(Samples(w.x), Samples(w.y),
                       LoaderOptions{.batch_size = 2, .transform = [&w](Tensor x, Generator&) {
                                       return w.in_transform ? w.in_transform(std::move(x)) : x;
                                     }});
      bool called = false;
      const Function once = [&called, &w, &f = f] {  // a copy of the name: Clang 14 captures no binding
        if (std::exchange(called, true)) return;
        f(w);
      };
      try {
        run(w, once);
        ++worked;
      } catch (const Error&) {
        ++refused;
      } catch (const int thrown) {
        EXPECT_EQ(thrown, 7);
        EXPECT_EQ(function, "throw an int");
      }
      EXPECT_TRUE(called);
      w.epoch.reset();
      w.pause.reset();
      w.tape.reset();
      w.net->in_forward = w.net->in_visit = nullptr;
      EXPECT_FALSE(is_recording());
      // All is as before: the net has its memory, a gradient is right, an optimizer trains.
      w.net->to(DType::Float32);
      w.net->load_state(w.saved);
      EXPECT_TRUE(w.net->training());
      const Gradients g = w.gradients();
      EXPECT_TRUE(equal(g[0], full({2}, 3.0)));
      Adam fresh(w.net->parameters());
      fresh.step(g);
      EXPECT_LT(w.net->w.at({0}), 3);
      int batches = 0;
      w.in_transform = nullptr;
      if (w.loader)
        for (const Batch& batch : w.loader->epoch(2)) batches += batch.inputs.shape()[0] == 2;
      EXPECT_EQ(batches, w.loader ? 2 : 0);
    }
  EXPECT_GT(worked, 300);
  EXPECT_GT(refused, 20);
}

// An epoch that its own transform ends: what the thread still works on is kept until it is done.
TEST(CallbacksOfModulesAndData, ATransformMayEndItsEpoch) {
  struct Shared {
    std::atomic<int> calls = 0;
    std::atomic<bool> go = false, ended = false, gone = false;
    std::optional<Loader::Epoch> epoch;
  };
  for (const int workers : {1, 3}) {
    const auto shared = std::make_shared<Shared>();
    {
      const auto transform = [shared](Tensor x, Generator&) {
        if (shared->calls++ < 4) return x;  // the first batch
        while (!shared->go) std::this_thread::yield();
        if (!shared->ended.exchange(true)) {
          shared->epoch.reset();
          shared->gone = true;
        }
        return x;
      };
      const Loader loader(Samples(ones({8, 2})), {},
                          {.batch_size = 4, .transform = transform, .workers = workers});
      shared->epoch.emplace(loader.epoch(0));
      EXPECT_EQ(shared->epoch->begin()->inputs.shape(), (Shape{4, 2}));
    }
    shared->go = true;  // the second batch is being made
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    // The transform, and with it this handle, goes when the pass does.
    while (shared.use_count() > 1 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
    EXPECT_EQ(shared.use_count(), 1);
    EXPECT_EQ(shared->calls, 8);
    ASSERT_TRUE(shared->gone);  // counts of handles put nothing in order between threads: this does
    EXPECT_FALSE(shared->epoch);
  }
}

}  // namespace
}  // namespace tapegrad
