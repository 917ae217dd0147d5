// Drawn here, so that nothing is loaded from elsewhere. They say nothing that the text beside them
// does not say.
const paths = {
  moon: "M20.6 15.6A8.4 8.4 0 1 1 10 3.6a6.6 6.6 0 0 0 10.6 12z",
  inbox: "M4 13h4l1.5 2.5h5L16 13h4M4 13l2.5-8h11L20 13v6H4z",
  task: "M5 12.5l3 3 4-5M14 8h6M14 14h6M5 6l2 2 3-3.5",
  key: "M8 11.5a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM11 12.5l8.5-8.5M15.5 8l3 3M18 5.5l2 2",
  alarm: "M12 3l9.5 17h-19zM12 10v4.5M12 17.3v.2",
  robot: "M6 9h12v10H6zM12 9V5M9 13.5v1M15 13.5v1M3 13v3M21 13v3",
  database:
    "M5 6c0-1.7 3.1-3 7-3s7 1.3 7 3-3.1 3-7 3-7-1.3-7-3zM5 6v12c0 1.7 3.1 3 7 3s7-1.3 7-3V6M5 12c0 1.7 3.1 3 7 3s7-1.3 7-3",
  glass: "M7 3h10l-1.5 8a3.6 3.6 0 0 1-7 0zM12 14v7M8 21h8M11 3l1.5 3-2 2",
  door: "M10 4h9v16h-9M14 12H4M7 8l-4 4 4 4",
  menu: "M4 7h16M4 12h16M4 17h16",
  close: "M6 6l12 12M18 6L6 18",
  check: "M5 12.5l4.5 4.5L19 7.5",
  cross: "M7 7l10 10M17 7L7 17",
  clock: "M12 7v5.5l3.5 2M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17z",
  circle: "M12 4.5a7.5 7.5 0 1 0 0 15 7.5 7.5 0 0 0 0-15z",
  dot: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17z",
  undo: "M9 7L4.5 11.5 9 16M5 11.5h9a5 5 0 0 1 0 10h-2",
  minus: "M6 12h12",
  shield: "M12 3l7.5 3v5.5c0 4.5-3 8-7.5 9.5-4.5-1.5-7.5-5-7.5-9.5V6z",
} as const;

export type IconName = keyof typeof paths;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={paths[name]} />
    </svg>
  );
}
