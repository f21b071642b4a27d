#include "tapegrad/io/safetensors.h"

#include <algorithm>
#include <array>
#include <bit>
#include <optional>
#include <set>
#include <string_view>
#include <vector>

#include "tapegrad/base/json_internal.h"
#include "tapegrad/io/elements_internal.h"
#include "tapegrad/io/text_internal.h"

namespace tapegrad::inline v0 {
namespace {

constexpr std::string_view kRead = "read_safetensors", kWrite = "write_safetensors";
constexpr std::string_view kMetadata = "__metadata__";
constexpr std::string_view kNumberPrefix = "tapegrad.number.", kIntegerPrefix = "tapegrad.integer.";
constexpr std::uint64_t kMaxHeader = 100'000'000;  // as the reference implementation has it
constexpr std::size_t kAlignment = 8;

// ---- The header
// ------------------------------------------------------------------------------------------------

struct Entry {
  std::string name, dtype;
  std::optional<std::vector<std::uint64_t>> shape;
  std::vector<std::uint64_t> offsets;
};

struct Header {
  std::vector<Entry> tensors;
  std::map<std::string, std::string> metadata;
};

// Builds a Header from the events of the JSON parser, refusing whatever the format has no place for as soon
// as it is met: no document is built, so a hostile header costs no memory.
class HeaderReader : public detail::JsonEvents {
 public:
  explicit HeaderReader(const detail::InputFile& file) : file_(file) {}
  Header take() { return std::move(header_); }

  void literal(std::string_view word) override { refuse(word == "null" ? "null" : "a boolean"); }

  void number(std::string_view text) override {
    if (text.find_first_of(".eE") != text.npos) refuse("a number that is not whole");
    if (text[0] == '-') refuse("a negative number");
    const auto value = detail::parse_integer(text);
    if (!value) refuse("a number that is too large");
    if (place_ != Place::Numbers) refuse("a number");
    if (numbers_.size() == Shape::kMaxRank)
      file_.fail("has more than {} numbers in the {} of the tensor '{}'", Shape::kMaxRank, key_,
                 header_.tensors.back().name);
    numbers_.push_back(*value);
  }

  void string(std::string value) override {
    if (place_ == Place::Metadata)
      header_.metadata[key_] = std::move(value);
    else if (place_ == Place::Tensor && key_ == "dtype")
      header_.tensors.back().dtype = std::move(value);
    else
      refuse("a string");
  }

  void begin(char bracket) override {
    if (bracket == '[') return begin_array();
    if (place_ == Place::Outside) {
      place_ = Place::Tensors;
    } else if (place_ == Place::Tensors) {
      place_ = key_ == kMetadata ? Place::Metadata : Place::Tensor;
      if (place_ == Place::Tensor)
        header_.tensors.push_back({.name = key_, .dtype = {}, .shape = {}, .offsets = {}});
      keys_.clear();
    } else {
      refuse("an object");
    }
  }

  void key(std::string name) override {
    std::set<std::string>& seen = place_ == Place::Tensors ? names_ : keys_;
    if (!seen.insert(name).second) file_.fail("has the key '{}' twice in its header", name);
    if (place_ == Place::Tensor && name != "dtype" && name != "shape" && name != "data_offsets")
      file_.fail("says '{}' of the tensor '{}', which the format does not know", name,
                 header_.tensors.back().name);
    key_ = std::move(name);
  }

  void end(char bracket) override {
    if (bracket == '[') return end_array();
    if (place_ == Place::Tensor) {
      const Entry& entry = header_.tensors.back();
      if (entry.dtype.empty() || !entry.shape || entry.offsets.size() != 2)
        file_.fail("does not give dtype, shape and two data_offsets of the tensor '{}'", entry.name);
    }
    place_ = place_ == Place::Tensors ? Place::Outside : Place::Tensors;
  }

 private:
  enum class Place { Outside, Tensors, Tensor, Numbers, Metadata };

  void begin_array() {
    if (place_ != Place::Tensor || key_ == "dtype") refuse("an array");
    place_ = Place::Numbers;
    numbers_.clear();
  }

  void end_array() {
    place_ = Place::Tensor;
    Entry& entry = header_.tensors.back();
    if (key_ == "shape")
      entry.shape = numbers_;
    else
      entry.offsets = numbers_;
  }

  [[noreturn]] void refuse(std::string_view what) const {
    file_.fail("has {} in its header where the format has no place for it{}", what,
               key_.empty() ? "" : fmt::format(" (after the key '{}')", key_));
  }

  const detail::InputFile& file_;
  Header header_;
  Place place_ = Place::Outside;
  std::string key_;
  std::set<std::string> names_, keys_;
  std::vector<std::uint64_t> numbers_;
};

// ---- Elements
// --------------------------------------------------------------------------------------------------

struct Format {
  std::string_view name;
  detail::Stored stored;
};
constexpr std::array kFormats{
    Format{"F32", detail::Stored::Float32},   Format{"F64", detail::Stored::Float64},
    Format{"I32", detail::Stored::Int32},     Format{"U8", detail::Stored::UInt8},
    Format{"BOOL", detail::Stored::Bool},     Format{"F16", detail::Stored::Float16},
    Format{"BF16", detail::Stored::BFloat16}, Format{"I64", detail::Stored::Int64},
};

detail::ArrayLayout layout_of(const detail::InputFile& file, const Entry& entry) {
  for (const Format& format : kFormats)
    if (format.name == entry.dtype)
      return {.stored = format.stored,
              .shape = detail::shape_in(file, *entry.shape, fmt::format("the tensor '{}'", entry.name)),
              .what = fmt::format("the tensor '{}' of {}", entry.name, entry.dtype)};
  file.fail("has elements of type '{}' in the tensor '{}', which cannot be read", entry.dtype, entry.name);
}

// ---- Checks
// ----------------------------------------------------------------------------------------------------

Header read_header(detail::InputFile& file) {
  std::array<std::uint8_t, sizeof(std::uint64_t)> bytes{};
  file.read(bytes);
  const auto length = std::bit_cast<std::uint64_t>(bytes);
  if (length > kMaxHeader || length > file.size() - bytes.size())
    file.fail("is not a safetensors file, or damaged: it is {} bytes long and its header would be {}",
              file.size(), length);
  std::string text(static_cast<std::size_t>(length), '\0');
  file.read({reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
  if (!text.starts_with('{')) file.fail("is not a safetensors file: its header does not begin with '{{'");
  HeaderReader reader(file);
  if (const auto mistake = detail::read_json(text, reader))
    file.fail("has a header that is not JSON: the mistake is at byte {}", *mistake + bytes.size());
  return reader.take();
}

template <class T>
T number(const detail::InputFile& file, std::string_view name, std::string_view text,
         std::optional<T> value) {
  if (!value) file.fail("has '{}' as the number '{}'", text, name);
  return *value;
}

struct Planned {
  const Entry* entry;
  detail::ArrayLayout layout;
  std::size_t place;  // in the header
};

// The tensors in the order of their elements, which must lie one behind the other, from the first byte behind
// the header to the last.
std::vector<Planned> plan_of(const detail::InputFile& file, const Header& header) {
  const std::uint64_t data = file.size() - file.position();
  std::vector<Planned> plan;
  for (const Entry& entry : header.tensors) plan.push_back({&entry, layout_of(file, entry), plan.size()});
  std::ranges::stable_sort(plan, {}, [](const Planned& planned) { return planned.entry->offsets; });

  std::uint64_t end = 0;
  for (const auto& [entry, layout, place] : plan) {
    const std::uint64_t first = entry->offsets[0], last = entry->offsets[1];
    if (first != end || last < first || last > data)
      file.fail("has the tensor '{}' in the bytes {} to {}; they must begin at {} and end within {}",
                entry->name, first, last, end, data);
    if (last - first != layout.bytes())
      file.fail("has {} bytes for the tensor '{}', which takes {} of {} bytes (shape {})", last - first,
                entry->name, layout.shape.size(), detail::size_of(layout.stored), layout.shape);
    end = last;
  }
  if (end != data) file.fail("has {} bytes of data, of which tensors take only {}", data, end);
  return plan;
}

}  // namespace

SafetensorsHeader read_safetensors_header(const std::filesystem::path& path) {
  detail::InputFile file(kRead, path);
  Header header = read_header(file);
  SafetensorsHeader made{.tensors = std::vector<SafetensorsHeader::Entry>(header.tensors.size()),
                         .metadata = {}};
  for (const auto& [entry, layout, place] : plan_of(file, header))
    made.tensors[place] = {entry->name, entry->dtype, layout.shape};
  made.metadata = std::move(header.metadata);
  return made;
}

State read_safetensors(const std::filesystem::path& path) {
  detail::InputFile file(kRead, path);
  const Header header = read_header(file);
  const std::vector<Planned> plan = plan_of(file, header);

  State state;
  for (const auto& [key, text] : header.metadata) {
    if (key.starts_with(kNumberPrefix)) {
      const std::string name = key.substr(kNumberPrefix.size());
      state.numbers[name] = number(file, name, text, detail::parse_double(text));
    } else if (key.starts_with(kIntegerPrefix)) {
      const std::string name = key.substr(kIntegerPrefix.size());
      state.integers[name] = number(file, name, text, detail::parse_integer(text));
    }
  }
  state.tensors.resize(plan.size());
  for (const auto& [entry, layout, place] : plan)
    state.tensors[place] = {
        entry->name,
        detail::read_elements(file, layout, [&](std::span<std::uint8_t> buffer) { file.read(buffer); })};
  return state;
}

void write_safetensors(const std::filesystem::path& path, const State& state) {
  detail::JsonWriter header;
  const auto write_key = [&](const std::string& key) {
    if (!detail::is_utf8(key)) fail(kWrite, "a name in the state is not UTF-8");
    header.key(key);
  };
  header.begin('{');
  if (!state.numbers.empty() || !state.integers.empty()) {
    header.key(kMetadata).begin('{');
    const auto write_metadata = [&](std::string_view prefix, const auto& values) {
      for (const auto& [name, value] : values) {
        write_key(fmt::format("{}{}", prefix, name));
        header.value(fmt::format("{}", value));
      }
    };
    write_metadata(kNumberPrefix, state.numbers);
    write_metadata(kIntegerPrefix, state.integers);
    header.end();
  }

  std::set<std::string_view> names;
  std::vector<std::span<const std::uint8_t>> parts(1);
  std::uint64_t end = 0;
  for (const auto& [name, x] : state.tensors) {
    if (name == kMetadata)
      fail(kWrite, "a tensor cannot be called '{}': the format has that for itself", name);
    if (!names.insert(name).second) fail(kWrite, "two tensors are called '{}'", name);
    if (!x.defined()) fail(kWrite, "the tensor '{}' is not defined", name);
    const auto format = std::ranges::find(kFormats, detail::stored_as(x.dtype()), &Format::stored);
    const std::size_t bytes = static_cast<std::size_t>(x.size()) * size_of(x.dtype());
    parts.emplace_back(reinterpret_cast<const std::uint8_t*>(TensorAccess::elements(x)), bytes);
    write_key(name);
    header.begin('{').key("dtype").value(format->name).key("shape").begin('[');
    for (const index_t size : x.shape()) header.value(size);
    header.end().key("data_offsets").begin('[').value(end).value(end + bytes).end().end();
    end += bytes;
  }
  header.end();

  std::string text = header.text();
  text.resize((text.size() + kAlignment - 1) / kAlignment * kAlignment, ' ');
  if (text.size() > kMaxHeader)
    fail(kWrite, "the header is {} bytes long; {} are allowed", text.size(), kMaxHeader);
  const auto length = std::bit_cast<std::array<char, sizeof(std::uint64_t)>>(std::uint64_t{text.size()});
  text.insert(text.begin(), length.begin(), length.end());
  parts.front() = {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
  detail::write_file(kWrite, path, parts);
}

}  // namespace tapegrad::inline v0
