#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <set>
#include <utility>

#include "tapegrad/exchange/pickle_internal.h"
#include "tapegrad/exchange/pytorch.h"
#include "tapegrad/io/elements_internal.h"
#include "tapegrad/io/zip_internal.h"

// The format is that of PyTorch's torch/serialization.py: a ZIP archive with NAME/data.pkl, a pickle in which tensors are
// views of storages, and the storages' bytes in NAME/data/KEY.

namespace tapegrad::inline v0 {
namespace {

using detail::Pickle;
using detail::PickleValue;
using detail::Stored;
using Kind = PickleValue::Kind;

constexpr std::string_view kRead = "read_pytorch";
constexpr std::uint64_t kMaxPickle = std::uint64_t{1} << 24;  // a tensor takes some hundred bytes
constexpr int kMaxDepth = 64;
constexpr std::uint64_t kMostViews = 16;  // elements of all tensors of a storage, as many times the storage's

constexpr std::string_view kTensor = "torch._utils._rebuild_tensor_v2",
                           kOldTensor = "torch._utils._rebuild_tensor",
                           kParameter = "torch._utils._rebuild_parameter";
constexpr std::array<std::pair<std::string_view, Stored>, 10> kStorages{{
    {"torch.FloatStorage", Stored::Float32},
    {"torch.DoubleStorage", Stored::Float64},
    {"torch.HalfStorage", Stored::Float16},
    {"torch.BFloat16Storage", Stored::BFloat16},
    {"torch.LongStorage", Stored::Int64},
    {"torch.IntStorage", Stored::Int32},
    {"torch.ShortStorage", Stored::Int16},
    {"torch.CharStorage", Stored::Int8},
    {"torch.ByteStorage", Stored::UInt8},
    {"torch.BoolStorage", Stored::Bool},
}};

std::vector<std::string_view> allowed_globals() {
  std::vector<std::string_view> names = {"collections.OrderedDict", "torch.Size", kTensor, kOldTensor,
                                         kParameter};
  for (const auto& [name, stored] : kStorages) names.push_back(name);
  return names;
}

/// A tensor of the file, as a view of its storage.
struct View {
  std::size_t place = 0;  ///< in the state
  Shape shape{};
  std::vector<std::uint64_t> strides{};
  std::uint64_t offset = 0;
};

struct StorageInFile {
  const detail::ZipMember* member = nullptr;
  Stored stored = Stored::Float32;
  std::uint64_t elements = 0, viewed = 0;
  std::vector<View> views{};
};

void refuse_if_old(const std::filesystem::path& path) {
  constexpr std::array<std::uint8_t, 14> kMagic{0x80, 2,    0x8a, 10,   0x6c, 0xfc, 0x9c,
                                                0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19};
  detail::InputFile file(kRead, path);
  std::array<std::uint8_t, 14> begin{};
  if (file.read_some(begin) == begin.size() && begin == kMagic)
    file.fail(
        "is in the format that PyTorch had before 1.6: save it again, in Python, with torch.save(torch.load('{}'), "
        "'{}')",
        path.filename().string(), path.filename().string());
}

/// Turns the values of the pickle into a state.
class Reader {
 public:
  Reader(const detail::ZipArchive& archive, std::string root, const Pickle& pickle, std::string under)
      : archive_(archive),
        file_(archive.file()),
        root_(std::move(root)),
        pickle_(pickle),
        under_(std::move(under)) {
    for (const detail::ZipMember& member : archive.members()) members_[member.name] = &member;
    budget_ = 16 * pickle.bytes() + (std::size_t{1} << 16);
  }

  State read() {
    walk(pickle_.root(), "", 0);
    if (!under_.empty() && !found_)
      file_.fail("has nothing under '{}'; at the top are: {}", under_, top_names());
    const bool big_endian = is_big_endian();
    for (auto& [key, storage] : storages_) read_storage(key, storage, big_endian);
    return std::move(state_);
  }

 private:
  void walk(const PickleValue& value, const std::string& name, int depth);
  void walk_items(const PickleValue& value, const std::string& name, int depth);
  std::optional<std::string> wanted(const std::string& name);
  void add_number(const PickleValue& value, const std::string& name);
  void add_tensor(const PickleValue& call, const std::string& name);
  StorageInFile& storage_of(const PickleValue& value);
  std::vector<std::uint64_t> whole_numbers(const PickleValue& value, std::string_view what) const;
  std::uint64_t whole_number(const PickleValue& value, std::string_view what) const;
  void require_inside(const PickleValue& call, const View& view, const StorageInFile& storage) const;
  void read_storage(const std::string& key, const StorageInFile& storage, bool big_endian);
  bool is_big_endian() const;
  std::string top_names() const;
  void spend(const PickleValue& at, std::size_t cost) {
    if (cost > budget_) pickle_.fail(at, "has more values than a file of {} bytes should", pickle_.bytes());
    budget_ -= cost;
  }

  const detail::ZipArchive& archive_;
  const detail::InputFile& file_;
  std::string root_;
  const Pickle& pickle_;
  std::string under_;
  std::map<std::string_view, const detail::ZipMember*> members_;
  std::map<std::string, StorageInFile> storages_;
  std::set<std::string> names_;
  std::size_t budget_ = 0;  // of values and of names' bytes: values may be items of several others
  bool found_ = false;
  State state_;
};

void Reader::walk(const PickleValue& value, const std::string& name, int depth) {
  if (depth > kMaxDepth)
    pickle_.fail(value, "nests more than {} dicts and lists, or one in itself", kMaxDepth);
  spend(value, 1 + name.size());
  switch (value.kind) {
    case Kind::Dict:
    case Kind::List:
    case Kind::Tuple:
      walk_items(value, name, depth);
      break;
    case Kind::Bool:
    case Kind::Int:
    case Kind::UInt:
    case Kind::Float:
      if (const auto own = wanted(name)) add_number(value, *own);
      break;
    case Kind::Call:
      if (const auto own = wanted(name)) add_tensor(value, *own);
      break;
    case Kind::Persistent:
      pickle_.fail(value, "has a storage that is not a tensor's");
    case Kind::None:
    case Kind::Text:
    case Kind::Global:
      break;
  }
}

void Reader::walk_items(const PickleValue& value, const std::string& name, int depth) {
  const std::string prefix = depth == 0 ? name : name + ".";
  if (value.kind != Kind::Dict) {
    for (std::size_t i = 0; i < value.items.size(); ++i)
      walk(pickle_.item(value, i), fmt::format("{}{}", prefix, i), depth + 1);
    return;
  }
  for (std::size_t i = 0; i < value.items.size(); i += 2) {
    const PickleValue& key = pickle_.item(value, i);
    if (key.kind != Kind::Text && key.kind != Kind::Int)
      pickle_.fail(key, "has a key that is neither a string nor a whole number");
    spend(key, prefix.size() + key.text.size());
    walk(pickle_.item(value, i + 1),
         key.kind == Kind::Text ? fmt::format("{}{}", prefix, key.text)
                                : fmt::format("{}{}", prefix, key.whole),
         depth + 1);
  }
}

// The name of what is asked for; each but once.
std::optional<std::string> Reader::wanted(const std::string& name) {
  std::string own = name;
  if (!under_.empty()) {
    if (!name.starts_with(under_) || (name.size() > under_.size() && name[under_.size()] != '.')) return {};
    own = name.size() == under_.size() ? "" : name.substr(under_.size() + 1);
  }
  found_ = true;
  if (!names_.insert(own).second) file_.fail("has two values that would be called '{}'", own);
  return own;
}

void Reader::add_number(const PickleValue& value, const std::string& name) {
  constexpr std::int64_t kExact = std::int64_t{1} << std::numeric_limits<double>::digits;
  if (value.kind == Kind::Float) {
    state_.numbers[name] = value.real;
  } else if (value.kind == Kind::UInt || value.whole > kExact) {
    state_.integers[name] = static_cast<std::uint64_t>(value.whole);
  } else if (value.whole >= -kExact) {
    state_.numbers[name] = static_cast<double>(value.whole);
  } else {
    pickle_.fail(value, "has the whole number {} as '{}', which a state cannot hold", value.whole, name);
  }
}

std::uint64_t Reader::whole_number(const PickleValue& value, std::string_view what) const {
  if (value.kind != Kind::Int || value.whole < 0)
    pickle_.fail(value, "must have a whole number from 0 on as {}", what);
  return static_cast<std::uint64_t>(value.whole);
}

std::vector<std::uint64_t> Reader::whole_numbers(const PickleValue& value, std::string_view what) const {
  if (value.kind != Kind::Tuple) pickle_.fail(value, "must have a tuple as {}", what);
  if (value.items.size() > kMaxDepth)
    pickle_.fail(value, "has {} sizes or strides as {}", value.items.size(), what);
  std::vector<std::uint64_t> numbers;
  for (std::size_t i = 0; i < value.items.size(); ++i)
    numbers.push_back(whole_number(pickle_.item(value, i), what));
  return numbers;
}

StorageInFile& Reader::storage_of(const PickleValue& value) {
  if (value.kind != Kind::Persistent || value.items.size() != 5 || pickle_.item(value, 0).text != "storage" ||
      pickle_.item(value, 1).kind != Kind::Global || pickle_.item(value, 2).kind != Kind::Text)
    pickle_.fail(value, "must have a storage here: ('storage', type, key, device, size)");
  const std::string_view type = pickle_.item(value, 1).text;
  const auto* known = std::ranges::find(kStorages, type, &std::pair<std::string_view, Stored>::first);
  if (known == kStorages.end()) pickle_.fail(value, "has a storage of the type {}", type);
  const std::uint64_t elements = whole_number(pickle_.item(value, 4), "a storage's size");
  const std::string key(pickle_.item(value, 2).text);

  const auto [at, is_new] = storages_.try_emplace(key);
  StorageInFile& storage = at->second;
  if (!is_new) {
    if (storage.stored != known->second || storage.elements != elements)
      pickle_.fail(value, "tells two things of the storage '{}'", key);
    return storage;
  }
  const std::string name = fmt::format("{}data/{}", root_, key);
  const auto member = members_.find(name);
  if (member == members_.end())
    pickle_.fail(value, "names the storage '{}', which the file does not have", name);
  const std::uint64_t bytes = member->second->size, each = detail::size_of(known->second);
  if (bytes / each != elements || bytes % each != 0)
    pickle_.fail(value, "tells of {} elements in the storage '{}', which has {} bytes, {} each", elements,
                 name, bytes, each);
  storage = {.member = member->second, .stored = known->second, .elements = elements};
  return storage;
}

void Reader::add_tensor(const PickleValue& call, const std::string& name) {
  const std::string_view function = pickle_.item(call, 0).text;
  if (function == kParameter) {
    if (call.items.size() < 2 || pickle_.item(call, 1).kind != Kind::Call ||
        &pickle_.item(call, 1) == &call || pickle_.item(pickle_.item(call, 1), 0).text == kParameter)
      pickle_.fail(call, "makes a parameter of what is not a tensor");
    return add_tensor(pickle_.item(call, 1), name);
  }
  if ((function != kTensor && function != kOldTensor) || call.items.size() < 5)
    pickle_.fail(call, "calls {} with {} arguments", function, call.items.size() - 1);
  StorageInFile& storage = storage_of(pickle_.item(call, 1));
  const std::string what = fmt::format("the tensor '{}'", name);
  View view{.place = state_.tensors.size(),
            .shape = detail::shape_in(file_, whole_numbers(pickle_.item(call, 3), what), what),
            .strides = whole_numbers(pickle_.item(call, 4), what),
            .offset = whole_number(pickle_.item(call, 2), what)};
  require_inside(call, view, storage);
  storage.viewed += static_cast<std::uint64_t>(view.shape.size());
  if (storage.viewed > kMostViews * storage.elements)
    pickle_.fail(call, "takes '{}' and other tensors of {} elements in all out of a storage of {}", name,
                 storage.viewed, storage.elements);
  state_.tensors.emplace_back(name, Tensor());
  storage.views.push_back(std::move(view));
}

void Reader::require_inside(const PickleValue& call, const View& view, const StorageInFile& storage) const {
  if (view.strides.size() != static_cast<std::size_t>(view.shape.rank()))
    pickle_.fail(call, "has {} strides for the shape {}", view.strides.size(), view.shape);
  if (view.shape.size() == 0) return;
  const auto elements = static_cast<std::uint64_t>(view.shape.size());
  if (elements > storage.elements)
    pickle_.fail(
        call,
        "has a tensor of shape {} in a storage of {} elements: save x.contiguous() instead of an expanded x",
        view.shape, storage.elements);
  std::uint64_t left = storage.elements - 1;  // elements behind those that were stepped over
  bool is_inside = view.offset <= left;
  if (is_inside) left -= view.offset;
  for (int axis = 0; axis < view.shape.rank() && is_inside; ++axis) {
    const auto steps = static_cast<std::uint64_t>(view.shape[axis] - 1),
               stride = view.strides[static_cast<std::size_t>(axis)];
    is_inside = steps == 0 || stride <= left / steps;
    if (is_inside) left -= steps * stride;
  }
  if (!is_inside)
    pickle_.fail(
        call,
        "has a tensor of shape {} from element {} on, with strides {}, which ends behind its storage of {}",
        view.shape, view.offset, join(view.strides, ", "), storage.elements);
}

// The elements of a view, in order.
Tensor gathered(const Tensor& storage, const View& view) {
  Tensor made = TensorAccess::empty(view.shape, storage.dtype());
  dispatch(storage.dtype(), [&]<class T>(std::type_identity<T>) {
    const std::span<const T> from = storage.values<T>();
    std::vector<index_t> index(view.strides.size(), 0);
    std::uint64_t at = view.offset;
    for (T& to : made.mutable_values<T>()) {
      to = from[static_cast<std::size_t>(at)];
      for (std::size_t axis = index.size(); axis-- > 0;) {
        at += view.strides[axis];
        if (++index[axis] < view.shape[static_cast<int>(axis)]) break;
        at -= view.strides[axis] * static_cast<std::uint64_t>(index[axis]);
        index[axis] = 0;
      }
    }
  });
  return made;
}

bool is_whole(const View& view, const StorageInFile& storage) {
  std::uint64_t expected = 1;
  for (std::size_t axis = view.strides.size(); axis-- > 0;) {
    const auto size = static_cast<std::uint64_t>(view.shape[static_cast<int>(axis)]);
    if (size != 1 && view.strides[axis] != expected) return false;
    expected *= size;
  }
  return view.offset == 0 && expected == storage.elements;
}

void Reader::read_storage(const std::string& key, const StorageInFile& storage, bool big_endian) {
  const std::array<std::uint64_t, 1> size{storage.elements};
  const std::string what =
      fmt::format("the tensor '{}' (storage '{}')", state_.tensors[storage.views[0].place].first, key);
  detail::ArrayLayout layout{.stored = storage.stored,
                             .big_endian = big_endian,
                             .shape = detail::shape_in(file_, size, what),
                             .what = what};
  if (is_whole(storage.views[0], storage)) layout.shape = storage.views[0].shape;
  detail::ZipReader reader(archive_, *storage.member);
  const Tensor all =
      detail::read_elements(file_, layout, [&](std::span<std::uint8_t> buffer) { reader.read(buffer); });
  bool is_given = false;
  for (const View& view : storage.views) {
    Tensor& to = state_.tensors[view.place].second;
    if (!is_given && is_whole(view, storage) && all.shape() == view.shape) {
      to = all;
      is_given = true;
    } else {
      to = gathered(all, view);
    }
  }
}

bool Reader::is_big_endian() const {
  const auto found = members_.find(root_ + "byteorder");
  if (found == members_.end() || found->second->size > 16) return false;
  std::string text(static_cast<std::size_t>(found->second->size), '\0');
  detail::ZipReader(archive_, *found->second)
      .read({reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
  return text == "big";
}

std::string Reader::top_names() const {
  std::vector<std::string> names;
  if (pickle_.root().kind == Kind::Dict)
    for (std::size_t i = 0; i < std::min<std::size_t>(pickle_.root().items.size(), 40); i += 2)
      names.push_back(fmt::format("'{}'", pickle_.item(pickle_.root(), i).text));
  return names.empty() ? "no names" : join(names, ", ");
}

const detail::ZipMember& pickle_member(const detail::ZipArchive& archive) {
  const detail::ZipMember* found = nullptr;
  for (const detail::ZipMember& member : archive.members()) {
    if (member.name == "constants.pkl" || member.name.ends_with("/constants.pkl"))
      archive.file().fail(
          "is a program of torch.jit.save(): save its weights, in Python, with torch.save(torch.jit.load(path).state_dict(), "
          "other_path)");
    if (member.name != "data.pkl" && !member.name.ends_with("/data.pkl")) continue;
    if (found != nullptr) archive.file().fail("has two members called data.pkl");
    found = &member;
  }
  if (found == nullptr) archive.file().fail("is a ZIP archive, but not of torch.save(): it has no data.pkl");
  return *found;
}

}  // namespace

State read_pytorch(const std::filesystem::path& path, const ReadPyTorchOptions& options) {
  refuse_if_old(path);
  const detail::ZipArchive archive(kRead, path);
  const detail::ZipMember& member = pickle_member(archive);
  if (member.size > kMaxPickle)
    archive.file().fail("has {} bytes in its data.pkl; at most {} are read", member.size, kMaxPickle);
  std::string bytes(static_cast<std::size_t>(member.size), '\0');
  detail::ZipReader(archive, member).read({reinterpret_cast<std::uint8_t*>(bytes.data()), bytes.size()});
  const std::vector<std::string_view> allowed = allowed_globals();
  const Pickle pickle(archive.file(), std::move(bytes), allowed);
  const std::string root = member.name.substr(0, member.name.size() - std::string_view("data.pkl").size());
  return Reader(archive, root, pickle, options.under).read();
}

}  // namespace tapegrad::inline v0
