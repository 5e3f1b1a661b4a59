// Writes schema.json: arguments and attributes of the provider's types that schema.json names, without nested blocks. To add a type,
// add it there as {} and run this again. What it reads is generated from the provider's own schema, and says from which version.
//
//	npm pack @cdktf/provider-aws@21.22.1 && tar -xzf cdktf-provider-aws-21.22.1.tgz && node schema.mjs package
import { readFileSync, writeFileSync } from "node:fs";

const types = { string: "string", number: "number", boolean: "bool", stringMap: "map(string)", stringList: "list(string)" };

// The generated TypeScript lies in the source map. Its comments say of each attribute what may, and what has to, be set.
function source(folder) {
  const compiled = readFileSync(`${process.argv[2]}/lib/${folder}/index.js`, "utf8");
  const map = compiled.match(/sourceMappingURL=data:application\/json;base64,(\S+)/)[1];
  return JSON.parse(Buffer.from(map, "base64")).sourcesContent[0];
}

function attributes(text) {
  const main = text.slice(text.lastIndexOf("export class "));
  const found = {};
  const attribute = /\/\/ (\w+) - computed: (\w+), optional: (\w+), required: (\w+)\n([^]*?)\n\n/g;
  for (const [, name, computed, optional, required, body] of main.matchAll(attribute)) {
    const settable = main.match(new RegExp(`\\n      ${name}: \\{\\n.*\\n *isBlock: false,\\n *type: "(\\w+)",\\n *storageClassType: "(\\w+)"`));
    const read = body.match(/get(String|Number|Boolean|StringMap|List)Attribute/)?.[1];
    let type = types[settable?.[2]] ?? types[{ List: "stringList", StringMap: "stringMap" }[read] ?? read?.toLowerCase()];
    if (settable?.[1] === "set" || body.includes("Fn.tolist")) type = "set(string)";
    const flags = { required, optional, computed };
    if (type) found[name] = [type, ...Object.keys(flags).filter((flag) => flags[flag] === "true")].join(" ");
  }
  return found;
}

const schema = JSON.parse(readFileSync("schema.json", "utf8"));
let version;
for (const [kind, prefix] of [["resources", ""], ["dataSources", "data-aws-"]]) {
  for (const type of Object.keys(schema[kind])) {
    const text = source(prefix + type.replace("aws_", "").replaceAll("_", "-"));
    schema[kind][type] = attributes(text);
    version = text.match(/providerVersion: '(.*?)'/)[1];
  }
}
schema._comment = `Arguments and attributes as in hashicorp/aws ${version}, without nested blocks. Written by schema.mjs.`;
writeFileSync("schema.json", JSON.stringify(schema, null, 1) + "\n");
