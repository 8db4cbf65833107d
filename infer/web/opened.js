"use strict";
// A page that was opened as a file may load neither its modules nor a model: say so.
if (location.protocol === "file:") {
  const trouble = document.getElementById("trouble");
  trouble.textContent =
    "This page needs a web server: run `python3 -m http.server` in its folder and open http://localhost:8000/";
  trouble.hidden = false;
  document.getElementById("invitation").hidden = true;
}
