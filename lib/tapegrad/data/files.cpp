#include "tapegrad/data/files.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "tapegrad/base/fail_internal.h"
#include "tapegrad/io/file_internal.h"
#include "tapegrad/io/idx.h"
#include "tapegrad/io/image.h"

namespace tapegrad::inline v0 {
namespace {

constexpr index_t kSide = 28;
constexpr std::string_view kFolder = "image_folder";

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
    fail("read_mnist", "'{}' in '{}' holds {} of shape {}; it must be UInt8 of shape [n, {}, {}]",
         images_file, directory.string(), images.dtype(), shape, kSide, kSide);
  if (labels.dtype() != DType::UInt8 || labels.shape() != Shape{shape[0]})
    fail("read_mnist",
         "'{}' in '{}' holds {} of shape {}; it must be UInt8 of shape [{}], one for each image", labels_file,
         directory.string(), labels.dtype(), labels.shape(), shape[0]);

  Tensor numbers = TensorAccess::empty(labels.shape(), DType::Int32);
  std::ranges::copy(labels.values<std::uint8_t>(), numbers.mutable_values<std::int32_t>().begin());
  return {.inputs = TensorAccess::view(images, {shape[0], kSide, kSide, 1}), .targets = numbers};
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
    const Image first = read_image(files.front(), options.channels, options.max_pixels);
    sized.height = first.height;
    sized.width = first.width;
  }
  const auto count = static_cast<index_t>(files.size());
  data.targets = tensor(labels, {count});
  data.inputs = Samples({count, sized.height, sized.width, sized.channels}, DType::UInt8,
                        [files = std::move(files), sized](index_t i) {
                          Image image = read_image(files[static_cast<std::size_t>(i)], sized.channels,
                                                   sized.max_pixels);
                          if (image.height != sized.height || image.width != sized.width)
                            image = resized(image, sized.height, sized.width);
                          return tensor(image.pixels, {sized.height, sized.width, sized.channels});
                        });
  return data;
}

}  // namespace tapegrad::inline v0
