// Recorded runs: the list, and a job that is played from a score which never changes. The clock is this browser's.
(() => {
  "use strict";
  const TICK_MS = 100, CURVES_MS = 250, REST = 4, STEPS = 1000;
  const query = name => new URLSearchParams(location.search).get(name) || "";

  // How many of [[moment, …], …] have come by a moment; they are in order.
  const come = (list, at) => {
    let low = 0, high = list.length;
    while (low < high) { const middle = (low + high) >> 1; if (list[middle][0] <= at) low = middle + 1; else high = middle; }
    return low;
  };
  const clock = seconds => {
    const whole = Math.floor(seconds), rest = String(whole % 60).padStart(2, "0"), minutes = Math.floor(whole / 60);
    return minutes < 60 ? `${minutes}:${rest}` : `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}:${rest}`;
  };
  const spoken = seconds => seconds < 60 ? `${Math.floor(seconds)} s` : `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;

  // The curves by a moment: of each, the points whose step had been logged.
  const grown = (curves, clocks, at) => {
    const by = sort => { const list = (clocks[sort] || clocks.train || []).map(([step, when]) => [when, step]); const n = come(list, at); return n ? list[n - 1][1] : -1; };
    const last = {train: by("train"), eval: by("eval"), machine: by("machine")};
    const charts = curves.charts.map(chart => {
      const series = chart.series.map(one => ({...one, points: one.points.filter(([step]) => step <= (one.apart ? last.eval : last.train))})).filter(one => one.points.length);
      return {...chart, series, marks: (chart.marks || []).filter(mark => mark.step <= last.train)};
    }).filter(chart => chart.series.length);
    return {key: `${last.train} ${last.eval}`, data: {total: curves.total, charts}};
  };

  const player = (root, score) => {
    const mark = root.querySelector("[data-mark]"), place = root.querySelector("[data-text]"), status = root.querySelector("[data-status]");
    mark.innerHTML = score.mark;
    const [play, seek, time, end] = ["play", "seek", "time", "end"].map(name => mark.querySelector(`[data-${name}]`));
    const speeds = [...mark.querySelectorAll("[data-speed]")], curves = wb.curves(root), drawn = {};
    let at = 0, speed = score.speed, isPlaying = false, before = 0, written = -1, curvesAt = 0, curvesRest = CURVES_MS, curvesKey = "", said = "";

    const takePart = (name, frames) => {
      const n = come(frames, at);
      if (drawn[name] === n) return;
      drawn[name] = n;
      const html = n ? frames[n - 1][1] : "";
      if (name === "state") { if (said && html !== said) status.textContent = `The recorded job is ${html}.`; said = html; return; }
      const swapped = wb.swap(root, name, html);
      for (const turn of swapped ? swapped.querySelectorAll("[data-md]") : []) { turn.wbText = turn.textContent; wb.markdown(turn, turn.wbText); }
      if (swapped) wb.drawCharts(swapped);
    };
    const takeText = () => {
      if (score.text.whole === undefined) return;
      const n = come(score.text.pieces, at), until = n ? score.text.pieces[n - 1][1] : 0;
      if (until === written) return;
      written = until;
      wb.markdown(place, score.text.whole.slice(0, until));
      root.querySelector("[data-answer]").hidden = false;
    };
    const takeCurves = isForced => {
      const now = performance.now();
      if (!score.curves || (!isForced && now - curvesAt < curvesRest)) return;
      curvesAt = now;
      const {key, data} = grown(score.curves, score.clock, at);
      if (key !== curvesKey) { curvesKey = key; curves.take(data); }
    };
    const tell = () => {
      const share = score.seconds ? at / score.seconds : 1, isOver = at >= score.seconds;
      const set = (element, text) => { if (element.textContent !== text) element.textContent = text; };
      seek.value = Math.round(STEPS * share);
      seek.setAttribute("aria-valuetext", `${spoken(at)} of ${spoken(score.seconds)}`);
      set(time, `${clock(at)} of ${clock(score.seconds)}`);
      set(play, isPlaying ? "Pause" : isOver ? "Replay" : "Play");
      end.disabled = isOver;
      for (const each of speeds) each.setAttribute("aria-pressed", +each.dataset.speed === speed);
      Object.assign(root.dataset, {at: at.toFixed(1), playing: isPlaying});
    };
    const show = (moment, isForced = false) => {
      at = Math.min(Math.max(moment, 0), score.seconds);
      if (at >= score.seconds) { isPlaying = false; isForced = true; }
      for (const [name, frames] of Object.entries(score.parts)) takePart(name, frames);
      takeText(); takeCurves(isForced); tell();
    };
    const begin = is => { isPlaying = is; before = performance.now(); tell(); };

    setInterval(() => {
      if (!isPlaying) return;
      const now = performance.now(), passed = (now - before) / 1000;
      before = now;
      curvesRest = Math.max(CURVES_MS, REST * (1000 * passed - TICK_MS));  // a slow machine draws less often, and answers
      show(at + passed * speed);
    }, TICK_MS);
    play.onclick = () => { if (at >= score.seconds) show(0, true); begin(!isPlaying); };
    end.onclick = () => { show(score.seconds, true); play.focus(); };
    seek.oninput = () => { const wasPlaying = isPlaying; show(score.seconds * seek.value / STEPS, true); begin(wasPlaying && at < score.seconds); };
    for (const each of speeds) each.onclick = () => { speed = +each.dataset.speed; tell(); };

    const isStill = matchMedia("(prefers-reduced-motion: reduce)").matches;
    show(isStill ? score.seconds : 0, true);
    if (!isStill) begin(true);
    root.hidden = false;
    document.title = `${score.title}, recorded · LLM Workbench`;
  };

  wb.recorded = async element => {
    const list = element.querySelector("[data-recordings]"), root = element.querySelector("[data-job]"), missing = element.querySelector("[data-missing]");
    const refuse = why => { missing.querySelector("[data-why]").textContent = why; missing.hidden = false; };
    const run = query("run");
    try {
      const answer = await fetch(run ? `/recordings/${encodeURIComponent(run)}?step=${encodeURIComponent(query("step"))}` : "/recordings");
      if (!answer.ok) { refuse(await answer.text()); return; }
      if (run) { player(root, await answer.json()); return; }
      list.querySelector("[data-list]").innerHTML = await answer.text();
      list.hidden = false;
    } catch { refuse("The workbench does not answer. Load the page again."); }
  };
})();
