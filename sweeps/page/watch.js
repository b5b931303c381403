"use strict";
// The page while a sweep runs: it asks its own server for what is new.

LP.watch = () => {
  let version = LP.content.stamp;
  const look = async () => {
    let wait = 3000;
    try {
      const answer = await fetch(`state?since=${encodeURIComponent(version)}`, { cache: "no-store" });
      if (!answer.ok) throw new Error(String(answer.status));
      const state = await answer.json();
      LP.fill("live", state.running.length ? `Running: ${state.running.join("; ")}` : "Nothing is running now.");
      if (state.content) { version = state.content.stamp; LP.update(state.content); }
    } catch (error) {
      LP.fill("live", "The server has ended; this is what it showed last.");
      wait = 15000;
    }
    setTimeout(look, wait);
  };
  look();
};
