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

// An iPad says it is a Mac; only a touch screen tells them apart.
if (navigator.maxTouchPoints > 1) {
  for (const hint of all('[data-ipad]')) hint.hidden = false;
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
