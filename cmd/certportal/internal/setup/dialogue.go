package setup

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/term"

	"certportal/cmd/certportal/internal/config"
	"certportal/internal/portal"
)

// dialogue is one run of the questions.
type dialogue struct {
	Config
	lines   *bufio.Reader
	drafts  string // folder of passwords that were typed
	answers answers
	asked   []question
	missing []string // flags of answers that are needed, with AskNothing
	wrote   bool     // the secrets are in their places
	stopped <-chan struct{}
}

func newDialogue(ctx context.Context, c Config, drafts string) *dialogue {
	return &dialogue{Config: c, lines: bufio.NewReader(c.In), drafts: drafts, answers: answers{}, stopped: ctx.Done()}
}

// wait reads an answer until a signal comes, after which drafts are removed: a read cannot be
// interrupted itself, and goes on until the program ends.
func (d *dialogue) wait(read func() (string, error)) (string, error) {
	type answer struct {
		text string
		err  error
	}
	came := make(chan answer, 1)
	go func() {
		text, err := read()
		came <- answer{text, err}
	}()
	select {
	case a := <-came:
		return a.text, a.err
	case <-d.stopped:
		return "", fmt.Errorf("a signal came: %w", ErrStopped)
	}
}

// topic asks its questions until the checks find nothing that fails, or the person keeps
// the answers all the same.
func (d *dialogue) topic(ctx context.Context, t topic) error {
	for first := true; ; first = false {
		if err := d.questions(t, first); err != nil {
			return err
		}
		if len(d.missing) > 0 {
			return nil // all that are missing are named together
		}
		failed, err := d.try(ctx, t)
		if err != nil || !failed {
			return err
		}
		if d.AskNothing {
			if d.KeepFailed {
				return nil
			}
			return fmt.Errorf("%w: a check failed: give other answers, or --keep-failed", ErrStopped)
		}
		again, err := d.yes("Answer these questions again?")
		if err != nil || !again {
			return err
		}
	}
}

func (d *dialogue) questions(t topic, first bool) error {
	if !d.AskNothing {
		fmt.Fprintf(d.Out, "\n%s\n", t.title)
	}
	for _, q := range t.questions {
		if q.when != nil && !q.when(d.answers) {
			delete(d.answers, q.key)
			d.forget(q)
			continue
		}
		if err := d.question(q, first); err != nil {
			return err
		}
	}
	return nil
}

// question asks one, until the answer can be used. A flag answers it the first time.
func (d *dialogue) question(q question, first bool) error {
	d.forget(q)
	d.asked = append(d.asked, q)
	given, isGiven := d.Given[q.key]
	for {
		text, err := given, error(nil)
		fixed := isGiven && first || d.AskNothing
		switch {
		case isGiven && first:
		case d.AskNothing:
			text = q.standard
		default:
			text, err = d.ask(q)
		}
		if err != nil {
			return err
		}
		if d.AskNothing && !isGiven && text == "" && !q.optional {
			d.missing = append(d.missing, "--"+q.flag)
			return nil
		}
		problem := d.take(q, strings.TrimSpace(text))
		if problem == "" {
			return nil
		}
		if fixed {
			return WrongAnswer{Flag: q.flag, Text: problem}
		}
		fmt.Fprintf(d.Out, "  %s\n", problem)
	}
}

func (d *dialogue) forget(q question) {
	d.asked = slices.DeleteFunc(d.asked, func(other question) bool { return other.key == q.key })
}

// ask prints the question and reads a line. An empty one means the earlier answer or the default.
func (d *dialogue) ask(q question) (string, error) {
	standard := cmp.Or(d.answers[q.key], q.standard)
	shown, read := standard, d.line
	if q.secret != "" {
		read = func() (string, error) { return d.secret(q) }
		if shown != "" {
			shown = "as before"
		}
	}
	fmt.Fprintf(d.Out, "  %s", q.ask)
	if shown != "" {
		fmt.Fprintf(d.Out, " [%s]", shown)
	}
	if shown != "" && q.optional {
		fmt.Fprint(d.Out, ", or - for none")
	}
	fmt.Fprint(d.Out, ": ")
	line, err := read()
	switch {
	case err != nil:
		return "", err
	case line == "":
		return standard, nil
	case line == "-" && q.optional:
		return "", nil
	}
	return line, nil
}

// line reads one line. The end of the input ends setup: an answer that is not there is not
// the default.
func (d *dialogue) line() (string, error) {
	text, err := d.wait(func() (string, error) { return d.lines.ReadString('\n') })
	if errors.Is(err, io.EOF) && text == "" {
		fmt.Fprintln(d.Out)
		return "", fmt.Errorf("the answers ended before the questions: %w", ErrStopped)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("reading the answer: %w", err)
	}
	return strings.TrimSpace(text), nil
}

// secret reads what must not be seen, and keeps it in a file while it is tried.
func (d *dialogue) secret(q question) (string, error) {
	var text string
	var err error
	if f, ok := d.In.(*os.File); ok && term.IsTerminal(int(f.Fd())) && d.lines.Buffered() == 0 {
		text, err = d.hidden(int(f.Fd()))
	} else {
		text, err = d.line()
	}
	if err != nil || text == "" || text == "-" && q.optional {
		return text, err
	}
	file := filepath.Join(d.drafts, q.secret)
	_ = os.Remove(file) // of an earlier try
	return file, config.WriteSecret(file, []byte(text))
}

// hidden reads a line that the terminal does not show, and lets it show again after a signal.
func (d *dialogue) hidden(terminal int) (string, error) {
	before, err := term.GetState(terminal)
	if err != nil {
		return "", fmt.Errorf("reading the password: %w", err)
	}
	text, err := d.wait(func() (string, error) {
		typed, err := term.ReadPassword(terminal)
		return string(typed), err
	})
	fmt.Fprintln(d.Out)
	if errors.Is(err, ErrStopped) {
		err = errors.Join(err, term.Restore(terminal, before))
	}
	return text, err
}

func (d *dialogue) yes(ask string) (bool, error) {
	for {
		fmt.Fprintf(d.Out, "  %s [yes]: ", ask)
		line, err := d.line()
		if err != nil {
			return false, err
		}
		switch strings.ToLower(line) {
		case "", "y", "yes":
			return true, nil
		case "n", "no":
			return false, nil
		}
		fmt.Fprintln(d.Out, "  Answer yes or no.")
	}
}

// take keeps an answer, or says what is wrong with it.
func (d *dialogue) take(q question, text string) string {
	if text == "" && !q.optional {
		return "this is needed"
	}
	if len(q.choices) > 0 && !slices.Contains(q.choices, text) {
		return fmt.Sprintf("found %q: choose %s", text, strings.Join(q.choices, ", "))
	}
	if !q.list {
		text = q.complete(text)
	}
	before, had := d.answers[q.key]
	d.answers[q.key] = text
	if text == "" || q.key == caKind {
		return ""
	}
	said := append(d.mistakes(q), d.unreadable(q, text)...)
	if len(said) == 0 {
		return ""
	}
	delete(d.answers, q.key)
	if had {
		d.answers[q.key] = before
	}
	return strings.Join(said, "; ")
}

// mistakes are what the settings say of an answer.
func (d *dialogue) mistakes(q question) (said []string) {
	_, err := d.settings()
	var wrong *config.Mistakes
	if !errors.As(err, &wrong) {
		return nil
	}
	for _, m := range wrong.List {
		if m.Key == q.key || strings.HasPrefix(m.Key, q.key+"[") {
			said = append(said, m.Text)
		}
	}
	return said
}

// unreadable says when the account of the service cannot read a file that root can.
func (d *dialogue) unreadable(q question, file string) []string {
	if d.Service == nil || !q.file || filepath.Dir(file) == d.drafts || d.Service.mayRead(file) {
		return nil
	}
	return []string{fmt.Sprintf("the account %s cannot read %s: give the file to it (chown %s %s), and let it into each folder on the way",
		d.Service.Account, file, d.Service.Account, file)}
}

// try prints what the checks of a topic find, but for what is well.
func (d *dialogue) try(ctx context.Context, t topic) (failed bool, err error) {
	if t.part == "" {
		return false, nil
	}
	s, err := d.settings()
	var wrong *config.Mistakes
	if err != nil && !errors.As(err, &wrong) {
		return false, err
	}
	for _, f := range d.Check(ctx, s, t.part) {
		fmt.Fprintf(d.Out, "  %s: %s: %s\n", f.State, f.What, f.Text)
		failed = failed || f.State == portal.FindingFailed
	}
	return failed, ctx.Err()
}

// settings are those of the answers so far.
func (d *dialogue) settings() (*config.Settings, error) {
	text, err := d.render(func(q question) string { return d.answers[q.key] })
	if err != nil {
		return nil, err
	}
	return config.Parse(text)
}
