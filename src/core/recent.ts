/**
 * What a pure function said of the last few hundred texts. A worker meets the same few conninfos and names again and
 * again, many times in every step.
 */

const most = 500;

export function remembering<T>(compute: (text: string) => T): (text: string) => T {
  const known = new Map<string, { readonly value: T }>();
  return (text) => {
    let found = known.get(text);
    if (found === undefined) {
      if (known.size >= most) known.clear();
      found = { value: compute(text) };
      known.set(text, found);
    }
    return found.value;
  };
}
