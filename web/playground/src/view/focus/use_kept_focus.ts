import { useEffect, useRef, type RefObject } from 'react';

/**
 * Moves the keyboard focus to an element when the focused one has been removed, such as a button that was pressed.
 * Call it in a component that is rendered at each removal.
 */
export function useKeptFocus(element: RefObject<HTMLElement | null>): void {
  const focused = useRef<Element>(null);
  useEffect(() => {
    const note = ({ target }: FocusEvent) => {
      // A field that is focused by touch opens the keyboard of a phone.
      focused.current = target instanceof Element && target.matches(':focus-visible') ? target : null;
    };
    document.addEventListener('focusin', note);
    return () => document.removeEventListener('focusin', note);
  }, []);
  useEffect(() => {
    if (focused.current?.isConnected === false && document.activeElement === document.body) element.current?.focus();
  });
}
