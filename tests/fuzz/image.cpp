// PNG, JPEG and BMP files: read_image(). The first byte is how many channels are asked for.

#include "tapegrad/io/image.h"

#include "memory_file.h"
#include "repair.h"

using namespace tapegrad;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr index_t kMost = 1 << 16;  // more would only take time
  fuzz::Draw draw({data, size});
  const int channels = draw.chance(128) ? 1 : 3;
  const fuzz::View file = draw.rest();
  Image image, other;
  const bool read =
      fuzz::accepts("read_image", [&] { image = read_image(fuzz::in_memory(file), channels, kMost); });
  if (!read) return 0;
  if (image.channels != channels || image.height < 1 || image.width < 1 ||
      image.pixels.size() != static_cast<std::size_t>(image.height) * static_cast<std::size_t>(image.width) *
                                 static_cast<std::size_t>(channels))
    fuzz::found("the image has another size than it says");
  if (!fuzz::accepts("read_image", [&] { other = read_image(fuzz::in_memory(file), 4 - channels, kMost); }))
    fuzz::found("the file is read with one number of channels and refused with the other");
  if (other.height != image.height || other.width != image.width)
    fuzz::found("another size with other channels");
  return 0;
}

namespace {

void repair_png(std::span<std::uint8_t> file) {
  for (std::size_t at = 8; at + 12 <= file.size();) {
    const std::size_t length = fuzz::big(file, at, 4);
    if (length > file.size() - at - 12) return;
    fuzz::put_big(file, at + 8 + length, 4, fuzz::crc_of(file.subspan(at + 4, length + 4)));
    at += length + 12;
  }
}

}  // namespace

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                               unsigned seed) {
  const std::size_t changed =
      seed % 2 == 0 ? LLVMFuzzerMutate(data, size, size) : LLVMFuzzerMutate(data, size, max_size);
  if (seed % 8 > 1 && changed > 9 && data[1] == 0x89) repair_png({data + 1, changed - 1});
  return changed;
}

std::vector<std::pair<std::string, fuzz::Bytes>> fuzz::seeds() {
  std::vector<std::pair<std::string, Bytes>> made;
  const auto add = [&](const std::string& name, Bytes file, std::uint8_t first = 0) {
    file.insert(file.begin(), first);
    made.emplace_back(name, std::move(file));
  };
  Image grey(3, 5, 1), colour(4, 2, 3, {200, 10, 60});
  for (std::size_t i = 0; i < grey.pixels.size(); ++i) grey.pixels[i] = static_cast<std::uint8_t>(i * 17);
  add("grey.png", encode_png(grey));
  add("colour.png", encode_png(colour), 255);
  const auto bmp = [](int bits, int height, std::uint32_t packing, const Bytes& extra, const Bytes& pixels) {
    Bytes file(54);
    file[0] = 'B', file[1] = 'M';
    put_little(file, 10, 4, 54 + extra.size());
    put_little(file, 14, 4, 40);
    put_little(file, 18, 4, 2);
    put_little(file, 22, 4, static_cast<std::uint32_t>(height));
    put_little(file, 26, 2, 1);
    put_little(file, 28, 2, static_cast<std::uint64_t>(bits));
    put_little(file, 30, 4, packing);
    if (bits <= 8) put_little(file, 46, 4, extra.size() / 4);
    file.insert(file.end(), extra.begin(), extra.end());
    file.insert(file.end(), pixels.begin(), pixels.end());
    return file;
  };
  add("bits1.bmp", bmp(1, 2, 0, {0, 0, 0, 0, 255, 255, 255, 0}, {0x40, 0, 0, 0, 0x80, 0, 0, 0}));
  add("bits4.bmp", bmp(4, -1, 0, {0, 0, 0, 0, 9, 8, 7, 0}, {0x10, 0, 0, 0}));
  add("bits8.bmp", bmp(8, 1, 0, {0, 0, 0, 0, 9, 8, 7, 0}, {1, 0, 0, 0}));
  add("bits16.bmp", bmp(16, 1, 0, {}, {0xff, 0x7f, 1, 2}));
  add("bits24.bmp", bmp(24, 1, 0, {}, {1, 2, 3, 4, 5, 6, 0, 0}), 255);
  add("masks.bmp", bmp(32, 1, 3, {0, 0, 255, 0, 0, 255, 0, 0, 255, 0, 0, 0}, {1, 2, 3, 4, 5, 6, 7, 8}), 255);
  return made;
}
