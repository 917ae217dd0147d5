import type { ComponentChildren } from "preact";

import { clean, label, line } from "../text";
import { Code, Fact, Facts } from "./basics";

// Data of whatever shape, as names and values.
export function Tree({ value }: { value: unknown }): ComponentChildren {
  if (value === null || value === undefined || value === "") return <>–</>;
  if (Array.isArray(value)) {
    if (value.every((item) => typeof item !== "object" || item === null))
      return <>{value.map(line).join(", ") || "none"}</>;
    return (
      <ol class="tree">
        {value.slice(0, 50).map((item, index) => (
          <li key={index}>
            <Tree value={item} />
          </li>
        ))}
      </ol>
    );
  }
  if (typeof value === "object")
    return (
      <Facts>
        {Object.entries(value as Record<string, unknown>).map(([name, item]) => (
          <Fact key={name} name={label(line(name))} wide={typeof item === "object"}>
            <Tree value={item} />
          </Fact>
        ))}
      </Facts>
    );
  if (typeof value === "boolean") return <>{value ? "yes" : "no"}</>;
  const text = clean(value);
  return text.includes("\n") ? <Code name="Text" text={text} /> : <>{text}</>;
}
