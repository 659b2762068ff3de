// Charts are drawn, not styled: they ask for the style sheet's colours, anew when the scheme changes.

export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

export const scheme = matchMedia("(prefers-color-scheme: dark)");
