// A socket that comes back: after a break it asks again from where it stood, sooner first and later more patiently.
(() => {
  "use strict";
  const FIRST_WAIT_MS = 250, LAST_WAIT_MS = 8000, FINAL = new Set([1000, 4403, 4404]), SIGNED_OUT = 4401;

  // path() is asked at each connection; heard(message) gets what comes; closed(code) hears of an end that is final.
  wb.connect = ({path, heard, closed = () => {}, broken = () => {}}) => {
    let wait = FIRST_WAIT_MS, socket = null, timer = 0, over = false;
    const open = () => {
      socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${wbVisitor.with(path())}`);
      socket.onmessage = event => { wait = FIRST_WAIT_MS; broken(false); heard(JSON.parse(event.data)); };
      socket.onclose = event => {
        if (over || (event.code === SIGNED_OUT && wb.signIn())) return;
        if (FINAL.has(event.code)) { over = true; closed(event.code); return; }
        broken(true);
        timer = setTimeout(open, wait * (0.75 + Math.random() / 2));
        wait = Math.min(wait * 2, LAST_WAIT_MS);
      };
    };
    open();
    return {close: () => { over = true; clearTimeout(timer); socket.close(); }};
  };
})();
