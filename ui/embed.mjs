// Writes the files of a folder as a C++ file that the server is linked with:
//   node embed.mjs FOLDER OUTPUT.cc
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { extname, join } from "node:path";
import { gzipSync } from "node:zlib";

const [folder, output] = process.argv.slice(2);
const types = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
};

function filesBelow(path) {
  return readdirSync(join(folder, path), { withFileTypes: true })
    .flatMap((entry) =>
      entry.isDirectory() ? filesBelow(join(path, entry.name)) : [join(path, entry.name)],
    )
    .sort();
}

const arrays = [];
function view(bytes) {
  if (bytes.length === 0) return "{}";
  const name = `kBytes${arrays.length}`;
  const rows = [];
  for (let at = 0; at < bytes.length; at += 24) rows.push(bytes.subarray(at, at + 24).join(","));
  arrays.push(`const unsigned char ${name}[] = {\n${rows.join(",\n")}};`);
  return `text(${name}, sizeof ${name})`;
}

const assets = filesBelow("").map((path) => {
  const type = types[extname(path)];
  if (!type) throw new Error(`no content type is known for ${path}`);
  const bytes = readFileSync(join(folder, path));
  const packed = gzipSync(bytes, { level: 9 });
  const etag = createHash("sha256").update(bytes).digest("hex").slice(0, 20);
  const gzip = packed.length + 100 < bytes.length ? packed : Buffer.alloc(0);
  const immutable = path.startsWith("assets/");
  return `    {${JSON.stringify(path)}, ${JSON.stringify(type)}, "\\"${etag}\\"",
     ${view(bytes)}, ${view(gzip)}, ${immutable}},`;
});

writeFileSync(
  output,
  `// Made by ui/embed.mjs.
#include "api/page_assets.h"

namespace curfew::api {
namespace {

std::string_view text(const unsigned char* bytes, std::size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

${arrays.join("\n")}

const PageAsset kAssets[] = {
${assets.join("\n")}
};

}  // namespace

PageAssets built_page() { return PageAssets(kAssets); }

}  // namespace curfew::api
`,
);
