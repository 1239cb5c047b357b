// Comfort only: every page works without this file.
'use strict';
const all = (selector) => document.querySelectorAll(selector);

const summary = document.getElementById('summary');
if (summary) summary.focus();

// "Show" beside a password.
for (const button of all('[data-show]')) {
  const field = document.getElementById(button.dataset.show);
  const words = [button.textContent, button.dataset.hide];
  button.hidden = false;
  button.addEventListener('click', () => {
    const shown = field.type === 'password';
    field.type = shown ? 'text' : 'password';
    button.textContent = words[+shown];
    field.focus();
  });
}

// "Copy" beside a password, an address or a command.
if (navigator.clipboard) {
  for (const button of all('[data-copy]')) {
    const words = button.textContent;
    button.hidden = false;
    button.setAttribute('aria-live', 'polite');
    button.addEventListener('click', async () => {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
      button.textContent = button.dataset.done;
      setTimeout(() => { button.textContent = words; }, 3000);
    });
  }
}

// "Print" on a sheet.
for (const button of all('[data-print]')) {
  button.hidden = false;
  button.addEventListener('click', () => print());
}

// "Working…" on the button that was pressed. It stays enabled: the portal itself
// makes sure that a second press does nothing new.
for (const form of all('form')) {
  form.addEventListener('submit', () => {
    const button = form.querySelector('[data-busy]');
    if (!button) return;
    button.dataset.words ||= button.textContent;
    button.setAttribute('aria-busy', 'true');
    button.textContent = button.dataset.busy;
  });
}
addEventListener('pageshow', () => {
  for (const button of all('[aria-busy]')) {
    button.removeAttribute('aria-busy');
    button.textContent = button.dataset.words;
  }
});

// A clock that is wrong by five minutes makes a good certificate look bad.
for (const hint of all('[data-clock]')) {
  hint.hidden = Math.abs(Date.now() / 1000 - hint.dataset.clock) < 300;
}

// Times in the reader's zone, where it has another time of day than the company's. What
// is before the offset in datetime is the company's.
const day = { day: 'numeric', month: 'long', year: 'numeric' };
const clock = { hour: '2-digit', minute: '2-digit', timeZoneName: 'short', hourCycle: 'h23' };
const forms = { day, clock, moment: { ...day, ...clock }, second: { ...day, ...clock, second: '2-digit' } };
const lang = document.documentElement.lang.replace(/^en$/, 'en-GB');
for (const time of all('time[data-at]')) {
  const at = new Date(time.dateTime);
  if (+new Date(time.dateTime.slice(0, 19)) === +at) continue;
  time.textContent = new Intl.DateTimeFormat(lang, forms[time.dataset.at]).format(at);
}
