#include "tapegrad/nn/draws.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "tapegrad/base/fail_internal.h"
#include "tapegrad/nn/module.h"

namespace tapegrad::inline v0::detail {
namespace {

using Draw = Draws::Draw;
using Tensors = std::set<const Storage*>;  // the memory of all tensors of the modules

bool is_earlier(const Draw& a, const Draw& b) {
  return a.before.drawn < b.before.drawn;
}

// The draws of a module and of all modules inside of it, in the order in which its constructor made them.
std::vector<Draw> take_draws(Module& module, Tensors& tensors) {
  std::vector<Draw> found;
  const auto take = [&found](Module& inner) {
    std::vector<Draw>& list = ModuleAccess::draws(inner).list;
    std::ranges::move(list, std::back_inserter(found));
    list.clear();
  };
  take(module);
  Visitor visitor(
      [&tensors](const std::string&, Tensor& tensor) { tensors.insert(TensorAccess::storage(tensor)); },
      [&take](const std::string&, Module& inner) { take(inner); });
  module.visit(visitor);
  std::ranges::stable_sort(found, is_earlier);
  return found;
}

// Draws again, in the order of the list, what was drawn in another one.
void redraw(const std::vector<Draw*>& draws, const Tensors& tensors) {
  std::vector<Draw*> made = draws;
  std::ranges::sort(made, [](const Draw* a, const Draw* b) { return is_earlier(*a, *b); });
  const Generator::Position end = made.back()->after;
  bool together = true;
  for (std::size_t i = 1; i < made.size(); ++i) together &= made[i - 1]->after == made[i]->before;
  Generator generator(made.front()->before);
  for (Draw* draw : draws) {
    draw->before = generator.position();
    const Tensor values = draw->values(generator);
    draw->after = generator.position();
    const Storage* storage = TensorAccess::storage(draw->target);
    if (!tensors.contains(storage) || storage->version() != draw->version) continue;  // set by hand since
    std::memcpy(storage->data(), TensorAccess::elements(values),
                static_cast<std::size_t>(values.size()) * size_of(values.dtype()));
  }
  if (!together || generator.position() != end)
    fail(
        "Sequential",
        "the compiler made the layers in another order than they are listed in, and more was drawn from their "
        "generator than their first values: write Sequential net{{...}} with braces, or use add()");
}

}  // namespace

void draw_in_order(std::initializer_list<Module*> modules, Module& owner) {
  Tensors tensors;
  std::vector<Draw>& all = ModuleAccess::draws(owner).list;
  for (Module* module : modules) std::ranges::move(take_draws(*module, tensors), std::back_inserter(all));
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::vector<Draw*>> streams;
  for (Draw& draw : all) streams[{draw.before.seed, draw.before.stream}].push_back(&draw);
  for (const auto& [stream, draws] : streams)
    if (!std::ranges::is_sorted(draws, [](const Draw* a, const Draw* b) { return is_earlier(*a, *b); }))
      redraw(draws, tensors);
}

}  // namespace tapegrad::inline v0::detail
