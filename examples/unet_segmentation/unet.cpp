#include "unet.h"

#include <string>

#include "tapegrad/ops/elementwise.h"
#include "tapegrad/ops/layout.h"
#include "tapegrad/ops/pooling.h"

namespace unet_segmentation {
namespace {

tg::Conv2D conv3x3(tg::index_t in_channels, tg::index_t filters, tg::Generator& generator) {
  return tg::Conv2D({.in_channels = in_channels,
                     .filters = filters,
                     .kernel_size = 3,
                     .padding = tg::Padding::Same,
                     .use_bias = false,  // batch norm adds its own
                     .kernel_initializer = tg::he_normal},
                    generator);
}

tg::BatchNorm norm(tg::index_t channels) {
  return tg::BatchNorm({.channels = channels, .momentum = 0.9});
}

template <class M>
void visit_all(tg::Visitor& visitor, const std::string& name, std::vector<M>& modules) {
  for (std::size_t i = 0; i < modules.size(); ++i) visitor(name + std::to_string(i), modules[i]);
}

}  // namespace

ConvBlock::ConvBlock(tg::index_t in_channels, tg::index_t filters, tg::Generator& generator)
    : conv1(conv3x3(in_channels, filters, generator)),
      conv2(conv3x3(filters, filters, generator)),
      norm1(norm(filters)),
      norm2(norm(filters)) {}

tg::Tensor ConvBlock::forward(const tg::Tensor& x) {
  return tg::relu(norm2(conv2(tg::relu(norm1(conv1(x))))));
}

void ConvBlock::visit(tg::Visitor& visitor) {
  visitor("conv1", conv1);
  visitor("norm1", norm1);
  visitor("conv2", conv2);
  visitor("norm2", norm2);
}

UNet::UNet(const UNetOptions& options, tg::Generator& generator)
    : bottom(options.filters << (options.levels - 1), options.filters << options.levels, generator),
      head({.in_channels = options.filters, .filters = options.classes, .kernel_size = 1}, generator) {
  for (int level = 0; level < options.levels; ++level) {
    const tg::index_t filters = options.filters << level;
    down.emplace_back(level == 0 ? options.in_channels : filters / 2, filters, generator);
    enlarge.push_back(tg::Conv2DTranspose(
        {.in_channels = 2 * filters, .filters = filters, .kernel_size = 2, .strides = 2}, generator));
    up.emplace_back(2 * filters, filters, generator);
  }
}

tg::Tensor UNet::forward(const tg::Tensor& x) {
  std::vector<tg::Tensor> skipped;
  tg::Tensor y = x;
  for (ConvBlock& block : down) {
    skipped.push_back(block(y));
    y = tg::max_pool2d(skipped.back());
  }
  y = bottom(y);
  for (std::size_t level = down.size(); level-- > 0;)
    y = up[level](tg::concat({skipped[level], enlarge[level](y)}, -1));
  return head(y);
}

void UNet::visit(tg::Visitor& visitor) {
  visit_all(visitor, "down", down);
  visitor("bottom", bottom);
  visit_all(visitor, "enlarge", enlarge);
  visit_all(visitor, "up", up);
  visitor("head", head);
}

}  // namespace unet_segmentation
