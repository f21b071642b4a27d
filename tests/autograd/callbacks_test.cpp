// Every callback of the user's may call every public function: each call works or throws an Error, and what comes
// after is as right as before. (Under the address sanitizer, it touches nothing that is gone.)

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "autograd/helpers.h"
#include "tapegrad/autograd/services.h"
#include "tapegrad/base/parallel.h"
#include "tapegrad/transforms/batch_gradient.h"
#include "tapegrad/transforms/checkpoint.h"
#include "tapegrad/transforms/derivatives.h"

namespace tapegrad {
namespace {

using testing::f64, testing::new_parameter, testing::number;

// What callbacks may call functions on.
struct World {
  Tensor p = new_parameter({1, 2});
  std::unique_ptr<Tape> tape;  // the one whose gradient, or scope, the callback is called in
  Tensor x, y;                 // of the tape
  std::vector<Tensor> kept;
  std::unique_ptr<NoGrad> pause;
  std::unique_ptr<Tape> another;

  void open() {
    tape = std::make_unique<Tape>(TapeOptions{.persistent = true});
    x = tape->watch(f64({1, 2}));
    y = sum(x * p);
  }
};

using Function = std::function<void(World&)>;

const std::vector<std::pair<std::string, Function>>& functions() {
  static const auto use = [](const Tensor& x) { (void)x; };
  static const std::vector<std::pair<std::string, Function>> all = {
      {"nothing", [](World&) {}},
      {"watch", [](World& w) { w.kept.push_back(w.tape->watch(w.p)); }},
      {"gradient", [](World& w) { use(w.tape->gradient(w.y, w.x)); }},
      {"gradient, create_graph", [](World& w) { use(w.tape->gradient(w.y, w.x, {.create_graph = true})); }},
      {"on_gradient",
       [](World& w) {
         for (int i = 0; i < 50; ++i) w.tape->on_gradient(w.p, [](const Tensor&) {});
       }},
      {"on_gradient of y", [](World& w) { w.tape->on_gradient(w.y, [](const Tensor&) {}); }},
      {"parameters", [](World& w) { (void)w.tape->parameters(); }},
      {"graph", [](World& w) { (void)w.tape->graph(); }},
      {"size", [](World& w) { (void)w.tape->size(); }},
      {"end of the tape", [](World& w) { w.tape.reset(); }},
      {"another tape",
       [](World& w) {
         Tape own;
         use(own.gradient(sum(w.p * w.p), w.p));
       }},
      {"a tape that stays", [](World& w) { w.another = std::make_unique<Tape>(); }},
      {"a pause that stays", [](World& w) { w.pause = std::make_unique<NoGrad>(); }},
      {"ops", [](World& w) { use(exp(w.p) * w.p); }},
      {"ops of the tape's", [](World& w) { use(w.x * w.p); }},
      {"write", [](World& w) { w.y.set({}, 1); }},
      {"parallel_for",
       [](World& w) {
         parallel_for(4, 1, [&](index_t, index_t) {
           const NoGrad no_grad;
           use(w.p * w.p);
         });
       }},
      {"ops in a loop", [](World& w) { parallel_for(4, 1, [&](index_t, index_t) { use(w.p * w.p); }); }},
      {"release_memory", [](World&) { release_memory(); }},
      {"ThreadCountScope", [](World&) { const ThreadCountScope one(1); }},
      {"checkpoint",
       [](World& w) { use(checkpoint([](const std::vector<Tensor>& in) { return square(in[0]); }, {w.p})); }},
      {"jacobian",
       [](World& w) { (void)jacobian([](const std::vector<Tensor>& in) { return square(in[0]); }, {w.p}); }},
      {"batch_gradient",
       [](World& w) {
         (void)batch_gradient([&](const std::vector<Tensor>& part) { return mean(part[0] * w.p); },
                              {f64({{1, 2}})}, {w.p});
       }},
      {"replayed", [](World&) { (void)replayed(1); }},
      {"count_samples", [](World& w) { (void)count_samples(&w, 0, 4, [](std::uint64_t) {}); }},
      {"throw an int", [](World&) { throw 7; }},
      {"throw an Error", [](World&) { throw Error("mine", "on purpose"); }},
  };
  return all;
}

// Each runs its callback in some way, once or more.
const std::vector<std::pair<std::string, std::function<void(World&, const Function&)>>>& callbacks() {
  static const std::vector<std::pair<std::string, std::function<void(World&, const Function&)>>> all = {
      {"hook",
       [](World& w, const Function& f) {
         w.tape->on_gradient(w.y, [&](const Tensor&) { f(w); });
         w.tape->gradient(w.y, w.x);
       }},
      {"hook of a plain tape",
       [](World& w, const Function& f) {
         w.tape.reset();
         w.tape = std::make_unique<Tape>();
         w.x = w.tape->watch(f64({1, 2}));
         w.y = sum(w.x * w.p);
         w.tape->on_gradient(w.p, [&](const Tensor&) { f(w); });
         w.tape->gradient(w.y, {w.x, w.p});
       }},
      {"hook, create_graph",
       [](World& w, const Function& f) {
         w.tape->on_gradient(w.x, [&](const Tensor&) { f(w); });
         w.tape->gradient(w.y, w.x, {.create_graph = true});
       }},
      {"rule",
       [](World& w, const Function& f) {
         const Tensor z = testing::identity_op("calls", w.x, [&](const Tensor& g) {
           f(w);
           return g;
         });
         w.tape->gradient(sum(z), w.x);
       }},
      {"joint rule of a plain tape",
       [](World& w, const Function& f) {
         w.tape.reset();
         w.tape = std::make_unique<Tape>();
         w.x = w.tape->watch(f64({1, 2}));
         w.y = sum(w.x * w.p);
         const Tensor z =
             record_joint("calls", f64({1, 2}), {w.x}, [&](const Tensor& g, const std::vector<bool>&) {
               f(w);
               return std::vector<Tensor>{g * 1.0};
             });
         w.tape->gradient(sum(z), w.x);
       }},
      {"checkpointed function",
       [](World& w, const Function& f) {
         const Tensor z = checkpoint(
             [&](const std::vector<Tensor>& in) {
               f(w);
               return square(in[0]);
             },
             {w.x});
         if (w.tape) w.tape->gradient(sum(z), w.x);
       }},
      {"function of a jacobian",
       [](World& w, const Function& f) {
         (void)jacobian(
             [&](const std::vector<Tensor>& in) {
               f(w);
               return square(in[0]);
             },
             {w.x});
       }},
      {"loss of batch_gradient",
       [](World& w, const Function& f) {
         const NoGrad no_grad;
         const ThreadCountScope one(1);
         (void)batch_gradient(
             [&](const std::vector<Tensor>& part) {
               f(w);
               return mean(part[0] * w.p);
             },
             {f64({{1, 2}, {3, 4}})}, {w.p}, {.chunk = 1});
       }},
      {"piece of a loop",
       [](World& w, const Function& f) {
         const ThreadCountScope one(1);
         parallel_for(2, 1, [&](index_t, index_t) { f(w); });
       }},
      {"what stores a count of samples",
       [](World& w, const Function& f) { (void)count_samples(&w, 0, 2, [&](std::uint64_t) { f(w); }); }},
  };
  return all;
}

TEST(Callbacks, MayCallEveryFunction) {
  int worked = 0, refused = 0;
  for (const auto& [callback, run] : callbacks())
    for (const auto& [function, f] : functions()) {
      SCOPED_TRACE(function + " in " + callback);
      World w;
      w.open();
      // Recursion without an end is the caller's: f is called once.
      bool called = false;
      const Function once = [&called,
                             &f = f](World& world) {  // a copy of the name: Clang 14 captures no binding
        if (std::exchange(called, true)) return;
        f(world);
      };
      try {
        run(w, once);
        ++worked;
      } catch (const Error&) {
        ++refused;
      } catch (const int thrown) {  // of the test's own, where nothing is promised
        EXPECT_EQ(thrown, 7);
        EXPECT_EQ(function, "throw an int");
      }
      EXPECT_TRUE(called);
      w.another.reset();
      w.pause.reset();
      w.tape.reset();
      EXPECT_FALSE(is_recording());
      w.kept.clear();
      w.x = w.y = Tensor();
      EXPECT_EQ(detail::loop_depth(), 0);
      EXPECT_EQ(replayed(3), 3u);
      EXPECT_FALSE(is_replaying());
      EXPECT_EQ(testing::holders(w.p), 1u) << "something is left of a tape";
      Tape next;
      EXPECT_TRUE(equal(next.gradient(sum(w.p * w.p), w.p), f64({2, 4})));
    }
  EXPECT_GT(worked, 100);
  EXPECT_GT(refused, 20);
}

}  // namespace
}  // namespace tapegrad
