#include "tapegrad/data/dataset.h"

#include <algorithm>
#include <string_view>

#include "tapegrad/base/fail_internal.h"
#include "tapegrad/io/idx.h"

namespace tapegrad {
namespace {

constexpr index_t kSide = 28;

Tensor read_one(const std::filesystem::path& directory, std::string_view file) {
  const std::filesystem::path plain = directory / file;
  std::filesystem::path zipped = plain;
  zipped += ".gz";
  std::error_code none;
  if (std::filesystem::exists(plain, none)) return read_idx(plain);
  if (std::filesystem::exists(zipped, none)) return read_idx(zipped);
  fail("read_mnist",
       "there is neither '{0}' nor '{0}.gz' in '{1}'. The directory should hold the files "
       "train-images-idx3-ubyte, "
       "train-labels-idx1-ubyte, t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte, each plain or with .gz "
       "at the "
       "end; data/README.md says where to get them",
       file, directory.string());
}

}  // namespace

Dataset read_mnist(const std::filesystem::path& directory, Split split) {
  const bool train = split == Split::Train;
  const std::string_view images_file = train ? "train-images-idx3-ubyte" : "t10k-images-idx3-ubyte";
  const std::string_view labels_file = train ? "train-labels-idx1-ubyte" : "t10k-labels-idx1-ubyte";
  const Tensor images = read_one(directory, images_file);
  const Tensor labels = read_one(directory, labels_file);

  const Shape& shape = images.shape();
  if (images.dtype() != DType::UInt8 || shape.rank() != 3 || shape[1] != kSide || shape[2] != kSide)
    fail("read_mnist", "'{}' in '{}' holds {} of shape {}; it should be UInt8 of shape [n, {}, {}]",
         images_file, directory.string(), images.dtype(), shape, kSide, kSide);
  if (labels.dtype() != DType::UInt8 || labels.shape() != Shape{shape[0]})
    fail("read_mnist",
         "'{}' in '{}' holds {} of shape {}; it should be UInt8 of shape [{}], one for each image",
         labels_file, directory.string(), labels.dtype(), labels.shape(), shape[0]);

  Tensor numbers = TensorAccess::empty(labels.shape(), DType::Int32);
  std::ranges::copy(labels.values<std::uint8_t>(), numbers.mutable_values<std::int32_t>().begin());
  return {.images = TensorAccess::view(images, {shape[0], kSide, kSide, 1}), .labels = numbers};
}

}  // namespace tapegrad
