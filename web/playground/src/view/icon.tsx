import { ICON_PATHS, type IconName } from '../../../shared/icon_paths';

export function Icon({ name }: { name: IconName }) {
  return (
    <svg className="icon" viewBox="0 0 16 16" aria-hidden="true" focusable="false">
      <path d={ICON_PATHS[name]} />
    </svg>
  );
}

/** A button that shows only an icon. */
export function IconButton({ icon, label, ...button }: { icon: IconName; label: string } & React.ComponentProps<'button'>) {
  return (
    <button type="button" {...button} className={`bare ${button.className ?? ''}`} aria-label={label} title={label}>
      <Icon name={icon} />
    </button>
  );
}
