#include "tapegrad/io/zip_internal.h"

#include <zlib.h>

#include <algorithm>
#include <set>
#include <utility>

#include "tapegrad/io/gzip_internal.h"
#include "tapegrad/io/inflate_internal.h"

// The format is PKWARE's APPNOTE.TXT, 6.3.10. All numbers in it are little-endian.

namespace tapegrad::inline v0::detail {
namespace {

constexpr std::uint32_t kLocal = 0x04034b50, kCentral = 0x02014b50, kEnd = 0x06054b50, kEnd64 = 0x06064b50,
                        kLocator64 = 0x07064b50;
constexpr std::size_t kLocalBytes = 30, kCentralBytes = 46, kEndBytes = 22, kEnd64Bytes = 56,
                      kLocator64Bytes = 20;
constexpr std::uint16_t kStored = 0, kDeflated = 8;
constexpr std::uint16_t kEncrypted = 1, kChecksumBehind = 1 << 3, kUtf8 = 1 << 11;
constexpr std::uint32_t kIn64 = 0xffffffff;  // the number stands in a ZIP64 field

// Numbers out of the bytes of a header.
class Fields {
 public:
  explicit Fields(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}

  std::size_t left() const { return bytes_.size(); }
  std::uint16_t word() { return static_cast<std::uint16_t>(number(2)); }
  std::uint32_t dword() { return static_cast<std::uint32_t>(number(4)); }
  std::uint64_t qword() { return number(8); }
  std::span<const std::uint8_t> take(std::size_t count) {
    const auto taken = bytes_.first(count);
    bytes_ = bytes_.subspan(count);
    return taken;
  }

 private:
  std::uint64_t number(std::size_t count) {
    std::uint64_t value = 0;
    const auto taken = take(count);
    for (std::size_t i = count; i-- > 0;) value = value << 8 | taken[i];
    return value;
  }

  std::span<const std::uint8_t> bytes_;
};

std::vector<std::uint8_t> read_at(const InputFile& file, std::uint64_t offset, std::uint64_t count) {
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(count));
  file.read_at(offset, bytes);
  return bytes;
}

struct Directory {
  std::uint64_t members = 0, bytes = 0, offset = 0;
  std::uint64_t end = 0;  // where what follows it begins
};

// The end record is the last thing in the file, but for a comment of up to 65535 bytes.
Directory find_directory(const InputFile& file) {
  const std::uint64_t tail = std::min<std::uint64_t>(file.size(), kEndBytes + 0xffff);
  const std::uint64_t tail_begin = file.size() - tail;
  const std::vector<std::uint8_t> bytes = read_at(file, tail_begin, tail);
  for (std::size_t at = bytes.size() < kEndBytes ? 0 : bytes.size() - kEndBytes + 1; at-- > 0;) {
    Fields fields(std::span<const std::uint8_t>(bytes).subspan(at, kEndBytes));
    if (fields.dword() != kEnd) continue;
    const std::uint16_t disk = fields.word(), first_disk = fields.word(), here = fields.word();
    Directory found;
    found.members = fields.word();
    found.bytes = fields.dword();
    found.offset = fields.dword();
    if (fields.word() != bytes.size() - at - kEndBytes) continue;  // not a comment that ends the file
    if (disk != first_disk || here != found.members) file.fail("is a part of an archive in several files");
    found.end = tail_begin + at;

    if (found.end < kLocator64Bytes) return found;
    const auto locator = read_at(file, found.end - kLocator64Bytes, kLocator64Bytes);
    Fields place(locator);
    if (place.dword() != kLocator64) return found;
    place.dword();
    const std::uint64_t offset = place.qword();
    if (offset > found.end - kLocator64Bytes || found.end - kLocator64Bytes - offset < kEnd64Bytes)
      file.fail("is damaged: the end of its directory is not where it says");
    const auto record = read_at(file, offset, kEnd64Bytes);
    Fields end(record);
    if (end.dword() != kEnd64) file.fail("is damaged: the end of its directory is not where it says");
    end.take(20);
    const std::uint64_t on_this_disk = end.qword();
    found = {.members = end.qword(), .bytes = end.qword(), .offset = end.qword(), .end = offset};
    if (on_this_disk != found.members) file.fail("is a part of an archive in several files");
    return found;
  }
  file.fail("is not a ZIP archive, or was cut off: it has no directory at its end");
}

// Numbers of 64 bits stand in an extra field, those only that do not fit their own place.
void read_extra(const InputFile& file, Fields extra, ZipMember& member) {
  while (extra.left() >= 4) {
    const std::uint16_t kind = extra.word(), length = extra.word();
    if (length > extra.left()) break;
    Fields field(extra.take(length));
    if (kind != 1) continue;
    for (std::uint64_t* number : {&member.size, &member.packed, &member.header})
      if (*number == kIn64) {
        if (field.left() < 8) file.fail("is damaged: sizes of its member '{}' are missing", member.name);
        *number = field.qword();
      }
  }
}

[[noreturn]] void refuse_directory(const InputFile& file) {
  file.fail("is damaged: its directory cannot be read");
}

ZipMember read_member(const InputFile& file, Fields& directory) {
  if (directory.left() < kCentralBytes) refuse_directory(file);
  Fields fields(directory.take(kCentralBytes));
  if (fields.dword() != kCentral) refuse_directory(file);
  fields.take(4);
  ZipMember member;
  const std::uint16_t flags = fields.word();
  member.method = fields.word();
  fields.take(4);
  member.checksum = fields.dword();
  member.packed = fields.dword();
  member.size = fields.dword();
  const std::uint16_t name = fields.word(), extra = fields.word(), comment = fields.word();
  fields.take(8);
  member.header = fields.dword();
  if (directory.left() < std::size_t{name} + extra + comment) refuse_directory(file);
  const auto characters = directory.take(name);
  member.name.assign(characters.begin(), characters.end());
  read_extra(file, Fields(directory.take(extra)), member);
  directory.take(comment);

  if ((flags & kEncrypted) != 0) file.fail("has an encrypted member, '{}'", member.name);
  if (member.method != kStored && member.method != kDeflated)
    file.fail("has the member '{}' packed with method {}; stored (0) and deflated (8) can be read",
              member.name, member.method);
  if (member.method == kStored ? member.size != member.packed : member.size / kMostDeflated > member.packed)
    file.fail("is damaged: its member '{}' cannot have {} bytes packed into {}", member.name, member.size,
              member.packed);
  return member;
}

// Where a member's bytes begin: behind its local header, whose name and extra field may differ in length.
std::uint64_t data_begin(const InputFile& file, const ZipMember& member) {
  const auto bytes = read_at(file, member.header, kLocalBytes);
  Fields fields(bytes);
  if (fields.dword() != kLocal) file.fail("is damaged: its member '{}' has no header", member.name);
  fields.take(2);
  const std::uint16_t flags = fields.word(), method = fields.word();
  fields.take(4);
  const std::uint32_t checksum = fields.dword();
  fields.take(8);
  const std::uint16_t length = fields.word(), extra = fields.word();
  const auto name = read_at(file, member.header + kLocalBytes, length);
  if (!std::ranges::equal(name, member.name, {}, {}, [](char c) { return static_cast<std::uint8_t>(c); }))
    file.fail("is damaged: the member '{}' of its directory has another name in front of its content",
              member.name);
  const bool known = (flags & kChecksumBehind) == 0;
  if (method != member.method || (known && checksum != member.checksum))
    file.fail("is damaged: its directory and the header of its member '{}' differ", member.name);
  return member.header + kLocalBytes + length + extra;
}

[[noreturn]] void refuse_content(const InputFile& file, const ZipMember& member, std::string_view why) {
  file.fail("is damaged: its member '{}' {}", member.name, why);
}

std::uint32_t checksum_of(std::uint32_t before, std::span<const std::uint8_t> bytes) {
  return static_cast<std::uint32_t>(crc32_z(before, bytes.data(), bytes.size()));
}

}  // namespace

ZipArchive::ZipArchive(std::string_view op, const std::filesystem::path& path) : file_(op, path) {
  const Directory directory = find_directory(file_);
  if (directory.offset > directory.end || directory.bytes != directory.end - directory.offset ||
      directory.members > directory.bytes / kCentralBytes)
    file_.fail("is damaged: its directory of {} members cannot lie in {} bytes from {} on", directory.members,
               directory.bytes, directory.offset);
  const std::vector<std::uint8_t> bytes = read_at(file_, directory.offset, directory.bytes);
  Fields fields{std::span(bytes)};
  std::set<std::string_view> names;
  members_.reserve(static_cast<std::size_t>(directory.members));
  for (std::uint64_t i = 0; i < directory.members; ++i) {
    members_.push_back(read_member(file_, fields));
    if (!names.insert(members_.back().name).second)
      file_.fail("has two members called '{}'", members_.back().name);
  }
  if (fields.left() != 0) file_.fail("is damaged: its directory has more in it than its members");

  std::vector<const ZipMember*> in_order;
  for (const ZipMember& member : members_) in_order.push_back(&member);
  std::ranges::sort(in_order, {}, &ZipMember::header);
  std::uint64_t end = 0;
  for (const ZipMember* member : in_order) {
    const bool inside = member->header >= end && member->header <= directory.offset &&
                        directory.offset - member->header >= kLocalBytes;
    const std::uint64_t begin = inside ? data_begin(file_, *member) : 0;
    if (!inside || begin > directory.offset || member->packed > directory.offset - begin)
      file_.fail("is damaged: its member '{}' overlaps another, or lies outside", member->name);
    end = begin + member->packed;
  }
}

ZipReader::ZipReader(const ZipArchive& archive, const ZipMember& member)
    : file_(archive.file()),
      member_(member),
      at_(data_begin(file_, member)),
      end_(at_ + member.packed),
      left_(member.size) {
  if (member.method == kDeflated)
    inflater_ = std::make_unique<Inflater>(
        file_, false, [this](std::span<std::uint8_t> buffer) { return read_packed(buffer); });
}

ZipReader::~ZipReader() = default;

std::size_t ZipReader::read_packed(std::span<std::uint8_t> buffer) {
  const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), end_ - at_));
  file_.read_at(at_, buffer.first(count));
  at_ += count;
  return count;
}

void ZipReader::read(std::span<std::uint8_t> buffer) {
  if (buffer.size() > left_) refuse_content(file_, member_, "ends too early");
  const std::size_t count = inflater_ ? inflater_->read_some(buffer) : read_packed(buffer);
  if (count != buffer.size()) refuse_content(file_, member_, "cannot be unpacked");
  checksum_ = checksum_of(checksum_, buffer);
  left_ -= buffer.size();
  if (left_ == 0 && checksum_ != member_.checksum) refuse_content(file_, member_, "has the wrong checksum");
}

namespace {

class Writer {
 public:
  void word(std::uint64_t value) { number(value, 2); }
  void dword(std::uint64_t value) { number(value, 4); }
  void text(std::string_view characters) { bytes.insert(bytes.end(), characters.begin(), characters.end()); }

  std::vector<std::uint8_t> bytes;

 private:
  void number(std::uint64_t value, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) bytes.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
  }
};

// What the local header and the directory say alike of a member.
void describe(Writer& to, const ZipMember& member) {
  constexpr std::uint16_t kVersion = 20, kMidnight = 0, kFirstOf1980 = 1 << 5 | 1;
  const bool ascii =
      std::ranges::all_of(member.name, [](char c) { return static_cast<unsigned char>(c) < 128; });
  to.word(kVersion);
  to.word(ascii ? 0 : kUtf8);
  to.word(member.method);
  to.word(kMidnight);
  to.word(kFirstOf1980);
  to.dword(member.checksum);
  to.dword(member.packed);
  to.dword(member.size);
  to.word(member.name.size());
  to.word(0);  // no extra field
}

}  // namespace

void write_zip(std::string_view op, const std::filesystem::path& path, std::span<const ZipContent> contents,
               bool deflated) {
  std::set<std::string_view> names;
  std::vector<std::vector<std::uint8_t>> own;  // what the parts below that are not the caller's lie in
  own.reserve(2 * contents.size() + 1);
  std::vector<std::span<const std::uint8_t>> parts;
  Writer directory;
  std::uint64_t end = 0;
  const auto append = [&](std::span<const std::uint8_t> part) {
    parts.push_back(part);
    end += part.size();
  };
  for (const auto& [name, content] : contents) {
    if (!names.insert(name).second) fail(op, "two members of '{}' would be called '{}'", path.string(), name);
    if (name.size() > 0xffff) fail(op, "a name of {} bytes is too long", name.size());
    ZipMember member{.name = name, .method = deflated ? kDeflated : kStored, .header = end};
    for (const auto part : content) {
      member.checksum = checksum_of(member.checksum, part);
      member.size += part.size();
    }
    std::vector<std::span<const std::uint8_t>> packed = content;
    if (deflated) packed = {own.emplace_back(deflated_bytes(op, content))};
    for (const auto part : packed) member.packed += part.size();
    if (member.size >= kIn64 || member.packed >= kIn64 || member.header >= kIn64)
      fail(op, "'{}' would have 4 GB or more, for which it has no place: a safetensors file has",
           path.string());

    Writer local;
    local.dword(kLocal);
    describe(local, member);
    local.text(name);
    append(own.emplace_back(std::move(local.bytes)));
    for (const auto part : packed) append(part);

    directory.dword(kCentral);
    directory.word(20);  // made by a program of this version, on MS-DOS: no permissions
    describe(directory, member);
    directory.word(0);  // no comment
    directory.word(0);  // the first disk
    directory.word(0);
    directory.dword(0);  // no attributes
    directory.dword(member.header);
    directory.text(name);
  }
  if (contents.size() >= 0xffff || end + directory.bytes.size() >= kIn64)
    fail(op, "{} members of {} bytes in all are too many for '{}'", contents.size(), end, path.string());
  Writer last;
  last.dword(kEnd);
  last.dword(0);
  last.word(contents.size());
  last.word(contents.size());
  last.dword(directory.bytes.size());
  last.dword(end);
  last.word(0);  // no comment
  parts.emplace_back(directory.bytes);
  parts.emplace_back(last.bytes);
  write_file(op, path, parts);
}

}  // namespace tapegrad::inline v0::detail
