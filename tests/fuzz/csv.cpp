// Tables of comma-separated values: read_csv(). The first two bytes are its options.

#include "tapegrad/io/csv.h"

#include "memory_file.h"

using namespace tapegrad;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Draw draw({data, size});
  constexpr char kSeparators[] = {',', ';', '\t', '|', ',', ',', ' ', '0'};
  CsvOptions options{.separator = draw.one_of(kSeparators)};
  const std::uint8_t flags = draw.byte();
  if ((flags & 1) != 0) options.dtype = DType::Float64;
  if ((flags & 2) != 0) options.label = "y";
  const auto& path = fuzz::in_memory(draw.rest());
  fuzz::accepts("read_csv", [&] {
    const Table table = read_csv(path, options);
    if (table.values.rank() != 2 || table.values.shape()[1] != static_cast<index_t>(table.columns.size()))
      fuzz::found("values and columns are not alike");
    if (table.labels.defined() != !options.label.empty() ||
        (table.labels.defined() && table.labels.shape() != Shape{table.values.shape()[0]}))
      fuzz::found("values and labels are not alike");
    if (!table.label_names.empty())
      for (const std::int32_t label : table.labels.values<std::int32_t>())
        if (label < 0 || label >= static_cast<std::int32_t>(table.label_names.size()))
          fuzz::found("a label without a name");
  });
  return 0;
}

std::vector<std::pair<std::string, fuzz::Bytes>> fuzz::seeds() {
  std::vector<std::pair<std::string, Bytes>> made;
  const auto add = [&](const char* name, char separator, char flags, std::string_view text) {
    Bytes file{static_cast<std::uint8_t>(separator), static_cast<std::uint8_t>(flags)};
    file.insert(file.end(), text.begin(), text.end());
    made.emplace_back(name, file);
  };
  add("plain", 0, 0, "a,b\n1,2\n3.5,-4e2\n");
  add("names", 1, 2, "a;y\r\n1;cat\r\n\r\n2;\"dog\"\r\n");
  add("numbers", 2, 3, "y\ta\r1\tnan\r2.5\t-inf\r");
  add("quotes", 0, 0, "\xEF\xBB\xBF\"a\"\"b\",\"c\n,d\"\n \"1\" , +.5 \n");
  add("hexadecimal", 0, 1, "a\n0x1p3\n1e400\n-1e-400\n");
  return made;
}
