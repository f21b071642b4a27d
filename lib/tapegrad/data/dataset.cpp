#include "tapegrad/data/dataset.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <memory>
#include <numeric>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>

#include "tapegrad/base/fail_internal.h"
#include "tapegrad/base/random.h"
#include "tapegrad/io/file_internal.h"
#include "tapegrad/io/idx.h"
#include "tapegrad/io/image.h"

namespace tapegrad::inline v0 {
namespace {

constexpr index_t kSide = 28;
constexpr std::string_view kConcatenate = "concatenate", kFolder = "image_folder";

// Which child of the seed's generator splits: a program that seeds a loader alike gets other numbers there.
constexpr std::uint64_t kSplitting = 0x73706c6974;

using Numbers = std::shared_ptr<const std::vector<index_t>>;

Shape with_samples(const Samples& samples, index_t count) {
  std::vector<index_t> sizes(samples.shape().begin(), samples.shape().end());
  sizes.front() = count;
  return Shape(sizes);
}

Samples select(const Samples& from, const Numbers& numbers) {
  if (!from.defined()) return {};
  return Samples(with_samples(from, static_cast<index_t>(numbers->size())), from.dtype(),
                 [from, numbers](index_t i) { return from[(*numbers)[static_cast<std::size_t>(i)]]; });
}

Samples concatenated(std::string_view what, std::vector<Samples> parts) {
  std::vector<index_t> ends;  // of each part
  for (const Samples& part : parts) {
    const Samples& first = parts.front();
    if (part.defined() != first.defined())
      fail(kConcatenate, "some of the sets have {}, others do not", what);
    if (!part.defined()) continue;
    if (part.dtype() != first.dtype() || part.sample_shape() != first.sample_shape())
      fail(kConcatenate, "{} of {} with shape {} cannot follow those of {} with shape {}", what, part.dtype(),
           part.shape(), first.dtype(), first.shape());
    ends.push_back((ends.empty() ? 0 : ends.back()) + part.size());
  }
  if (ends.empty()) return {};
  const Samples& first = parts.front();
  const Shape shape = with_samples(first, ends.back());
  const DType dtype = first.dtype();
  return Samples(shape, dtype, [parts = std::move(parts), ends = std::move(ends)](index_t i) {
    const auto part = static_cast<std::size_t>(std::ranges::upper_bound(ends, i) - ends.begin());
    return parts[part][i - (ends[part] - parts[part].size())];
  });
}

Tensor read_one(const std::filesystem::path& directory, std::string_view file) {
  const std::filesystem::path plain = directory / file;
  std::filesystem::path zipped = plain;
  zipped += ".gz";
  std::error_code none;
  if (std::filesystem::exists(plain, none)) return read_idx(plain);
  if (std::filesystem::exists(zipped, none)) return read_idx(zipped);
  fail(
      "read_mnist",
      "there is neither '{0}' nor '{0}.gz' in '{1}'. The directory must hold the files train-images-idx3-ubyte, "
      "train-labels-idx1-ubyte, t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte, each plain or with .gz at the "
      "end; data/README.md says where to get them",
      file, directory.string());
}

// What a directory holds, in byte order, but for what is hidden.
std::vector<std::filesystem::path> entries(const std::filesystem::path& directory) {
  std::vector<std::filesystem::path> found = detail::paths_in(kFolder, directory);
  std::erase_if(found,
                [](const std::filesystem::path& path) { return path.filename().string().starts_with('.'); });
  std::ranges::sort(found, {}, [](const std::filesystem::path& path) { return path.filename().string(); });
  return found;
}

bool is_image(const std::filesystem::path& path) {
  std::string extension = path.extension().string();
  for (char& letter : extension)
    if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter - 'A' + 'a');
  return extension == ".png" || extension == ".jpg" || extension == ".jpeg" || extension == ".bmp";
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
  return {.inputs = TensorAccess::view(images, {shape[0], kSide, kSide, 1}), .targets = numbers};
}

Dataset subset(const Dataset& data, std::vector<index_t> numbers) {
  for (const index_t number : numbers)
    if (number < 0 || number >= data.inputs.size())
      fail("subset", "there is no sample {} in a data set of {}", number, data.inputs.size());
  const Numbers shared = std::make_shared<const std::vector<index_t>>(std::move(numbers));
  return {.inputs = select(data.inputs, shared),
          .targets = select(data.targets, shared),
          .class_names = data.class_names};
}

Dataset concatenate(const std::vector<Dataset>& sets) {
  if (sets.empty()) fail(kConcatenate, "there must be at least one data set, got none");
  std::vector<Samples> inputs, targets;
  for (const Dataset& set : sets) {
    if (set.class_names != sets.front().class_names)
      fail(kConcatenate, "the sets have different classes: {}; {}", join(sets.front().class_names, ", "),
           join(set.class_names, ", "));
    inputs.push_back(set.inputs);
    targets.push_back(set.targets);
  }
  return {.inputs = concatenated("inputs", std::move(inputs)),
          .targets = concatenated("targets", std::move(targets)),
          .class_names = sets.front().class_names};
}

std::vector<Dataset> split_counts(const Dataset& data, const std::vector<index_t>& counts,
                                  std::uint64_t seed) {
  std::vector<index_t> order(static_cast<std::size_t>(data.inputs.size()));
  std::iota(order.begin(), order.end(), index_t{0});
  Generator(seed).child(kSplitting).shuffle(std::span(order));
  std::vector<Dataset> sets;
  auto at = order.begin();
  for (const index_t count : counts) {
    if (count < 0 || count > order.end() - at)
      fail("split_counts",
           "counts must be at least 0 and add up to at most {}, the number of samples, got {}", order.size(),
           join(counts, ", "));
    sets.push_back(subset(data, std::vector<index_t>(at, at + count)));
    at += count;
  }
  return sets;
}

std::vector<Dataset> split_fractions(const Dataset& data, const std::vector<double>& fractions,
                                     std::uint64_t seed) {
  std::vector<index_t> counts;
  double sum = 0;
  index_t before = 0;
  for (const double fraction : fractions) {
    sum += fraction;
    constexpr double kRounding = 1e-9;
    if (!(fraction >= 0) || sum > 1 + kRounding)
      fail("split_fractions", "fractions must be at least 0 and add up to at most 1, got {}",
           join(fractions, ", "));
    const auto end =
        std::min(static_cast<index_t>(std::floor(sum * static_cast<double>(data.inputs.size()) + 0.5)),
                 data.inputs.size());
    counts.push_back(end - std::exchange(before, end));
  }
  return split_counts(data, counts, seed);
}

Dataset csv_dataset(const std::filesystem::path& path, const CsvOptions& options) {
  Table table = read_csv(path, options);
  return {.inputs = std::move(table.values),
          .targets = std::move(table.labels),
          .class_names = std::move(table.label_names)};
}

Dataset image_folder(const std::filesystem::path& directory, const ImageFolderOptions& options) {
  if (options.channels != 1 && options.channels != 3)
    fail(kFolder, "channels must be 1 (grey) or 3 (colour), got {}", options.channels);
  if (options.height < 0 || options.width < 0 || (options.height == 0) != (options.width == 0))
    fail(kFolder,
         "height and width must both be positive, or both 0 for the size of the first image, got {} x {}",
         options.height, options.width);
  Dataset data;
  std::vector<std::filesystem::path> files;
  std::vector<std::int32_t> labels;
  for (const std::filesystem::path& folder : entries(directory)) {
    std::error_code error;
    const std::filesystem::file_type type = std::filesystem::status(folder, error).type();
    if (type == std::filesystem::file_type::none)
      fail(kFolder, "cannot look at '{}': {}", folder.string(), error.message());
    if (type != std::filesystem::file_type::directory) continue;
    const std::size_t before = files.size();
    std::ranges::copy_if(entries(folder), std::back_inserter(files), is_image);
    if (files.size() == before) fail(kFolder, "'{}' holds no .png, .jpg, .jpeg or .bmp", folder.string());
    labels.resize(files.size(), static_cast<std::int32_t>(data.class_names.size()));
    data.class_names.push_back(folder.filename().string());
  }
  if (files.empty())
    fail(kFolder, "'{}' holds no folders: the images of a class should lie in one, as in {}",
         directory.string(), (directory / "CLASS" / "NAME.png").string());

  ImageFolderOptions sized = options;
  if (sized.height == 0) {
    const Image first = read_image(files.front(), options.channels, options.most_pixels);
    sized.height = first.height;
    sized.width = first.width;
  }
  const auto count = static_cast<index_t>(files.size());
  data.targets = tensor(labels, {count});
  data.inputs = Samples({count, sized.height, sized.width, sized.channels}, DType::UInt8,
                        [files = std::move(files), sized](index_t i) {
                          Image image = read_image(files[static_cast<std::size_t>(i)], sized.channels,
                                                   sized.most_pixels);
                          if (image.height != sized.height || image.width != sized.width)
                            image = resized(image, sized.height, sized.width);
                          return tensor(image.pixels, {sized.height, sized.width, sized.channels});
                        });
  return data;
}

}  // namespace tapegrad::inline v0
