// Keys, and pictures that are dropped or pasted.

// Args: keys, actions by letter; moveOnView, tried first where the picture has the focus, true when
// it used the key; chooseNumber, for 1 to 9; usePicture, for a file.
export function listen({ keys, view, stage, moveOnView, chooseNumber, usePicture }) {
  document.addEventListener("keydown", (event) => {
    const { target, key } = event;
    const isTyping = target.matches?.("select, input:not([type=range], [type=checkbox], [type=radio])");
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping) return;
    if (target === view && moveOnView(event)) event.preventDefault();
    else if (event.repeat) return; // a key that is held down is pressed once
    else if (/^[1-9]$/.test(key)) chooseNumber(Number(key) - 1);
    else keys[key.toLowerCase()]?.();
  });
  for (const name of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(name, (event) => {
      event.preventDefault();
      stage.classList.toggle("dropping", name === "dragover");
      if (name === "drop") usePicture(event.dataTransfer.files[0] ?? null);
    });
  }
  document.addEventListener("paste", (event) => usePicture(event.clipboardData.files[0]));
}
