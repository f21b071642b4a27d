// Modules that hold modules, in whatever container; none of these needs a constructor for clone().
#include <memory>
#include <optional>

#include "tapegrad/tapegrad.h"

namespace tg = tapegrad;

struct Net : tg::Module {
  explicit Net(tg::Generator& generator)
      : head(tg::Dense({.in_features = 2, .units = 2}, generator), tg::ReLU()) {
    layers.push_back(tg::Dense({.in_features = 2, .units = 2}, generator));
    maybe.emplace(tg::DenseOptions{.in_features = 2, .units = 2}, generator);
    owned = std::make_unique<tg::Dense>(tg::DenseOptions{.in_features = 2, .units = 2}, generator);
  }
  tg::Tensor forward(const tg::Tensor& x) override { return head((*owned)((*maybe)(layers[0](x)))); }
  void visit(tg::Visitor& visitor) override {
    visitor("layer", layers[0]);
    visitor("maybe", *maybe);
    visitor("owned", *owned);
    visitor("head", head);
  }
  std::vector<tg::Dense> layers;
  std::optional<tg::Dense> maybe;
  std::unique_ptr<tg::Dense> owned;
  tg::Sequential head;
};

tg::Sequential f(tg::Generator& generator) {
  tg::Sequential net{Net(generator), tg::Flatten()};
  net.add(Net(generator)).add(tg::Dense({.in_features = 2, .units = 1}, generator));
  std::vector<tg::Sequential> nets;
  nets.push_back(std::move(net));
  nets.emplace_back(tg::ReLU());
  return std::move(nets[0]);
}
