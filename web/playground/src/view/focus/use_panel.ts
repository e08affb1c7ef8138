import { useEffect, useRef, useState } from 'react';

/** A panel that a button opens on narrow screens. It receives the focus, and Escape returns it to the button. */
export function usePanel() {
  const [isOpen, setOpen] = useState(false);
  const panel = useRef<HTMLElement>(null);
  const toggle = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    if (isOpen) panel.current?.focus();
  }, [isOpen]);

  function onKeyDown({ key }: React.KeyboardEvent): void {
    if (key !== 'Escape' || !isOpen) return;
    setOpen(false);
    toggle.current?.focus();
  }

  return {
    isOpen,
    close: () => setOpen(false),
    toggle: { ref: toggle, 'aria-expanded': isOpen, onClick: () => setOpen(!isOpen) },
    panel: { ref: panel, tabIndex: -1, onKeyDown },
  };
}
