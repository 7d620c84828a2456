/** What is worth saying only for a while after it happened. */
import { useEffect, useState } from "../vendor/htm-preact.js";

/** The value for `ms` after it came, then null. */
export function useFleeting(value, ms) {
  const [past, setPast] = useState(null);
  useEffect(() => {
    if (!value) return undefined;
    const timer = setTimeout(() => setPast(value), ms);
    return () => clearTimeout(timer);
  }, [value, ms]);
  return value === past ? null : value;
}
