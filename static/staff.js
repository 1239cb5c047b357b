// Comfort on staff pages; every page works without this file.
'use strict';

// Results while typing: the part of the page that the same search gives. "/" leads to the
// search box.
const query = document.querySelector('[data-live]');
if (query) {
  let asking;
  query.addEventListener('input', async () => {
    asking?.abort();
    const { signal } = asking = new AbortController();
    try {
      await new Promise((done) => { setTimeout(done, 250); });
      if (signal.aborted) return;
      const address = `${query.form.action}?${new URLSearchParams(new FormData(query.form))}`;
      const text = await (await fetch(address, { signal })).text();
      const found = new DOMParser().parseFromString(text, 'text/html').getElementById('results');
      if (!found) { location.assign(address); return; } // signed out meanwhile, or too busy
      document.getElementById('results').replaceWith(found);
      history.replaceState(null, '', address); // what is copied or reloaded is this search
    } catch { /* a newer search took its place */ }
  });
  addEventListener('keydown', (press) => {
    if (press.key !== '/' || press.target.matches('input, select, textarea')) return;
    press.preventDefault();
    query.focus();
  });
}
