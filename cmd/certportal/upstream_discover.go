package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"certportal/ca/upstream/adcs/discovery"
	"certportal/cmd/certportal/internal/app"
	"certportal/cmd/certportal/internal/config"
	"certportal/internal/directory"
	"certportal/internal/escape"
)

type upstreamDiscover struct{}

// Run prints the CAs of the forest with settings for each. It changes nothing.
func (upstreamDiscover) Run(i *invocation) error {
	s, err := i.settings()
	if err != nil {
		return err
	}
	if s.Directory.Kind == config.KindBuiltin || s.LDAPConfig().Kind != directory.ActiveDirectory {
		return errors.New("only Active Directory knows its CAs, and directory.kind is another one")
	}
	l, err := app.OpenLDAP(s, time.Now, i.quiet())
	if err != nil {
		return err
	}
	defer l.Close()
	survey, err := app.Discover(i.ctx, s, l)
	if err != nil {
		return err
	}
	printSurvey(i.io.out, survey)
	return nil
}

// printSurvey prints the choice. All but settings is a comment, so that the whole is YAML.
func printSurvey(out io.Writer, survey discovery.Survey) {
	if len(survey.Choices) == 0 {
		fmt.Fprintln(out, "# The directory has no enterprise CA, or the portal's account cannot read it.")
	}
	for n, c := range survey.Choices {
		if n > 0 {
			fmt.Fprintln(out)
		}
		fmt.Fprintf(out, "# %s\n", escape.Value(c.Config()))
		for _, e := range c.Endpoints {
			fmt.Fprintf(out, "#   %s (%s)%s\n", escape.Value(e.URL), e.Authentication, why(e))
		}
		for _, t := range c.Templates {
			fmt.Fprintf(out, "#   template %s (%s)\n", escape.Value(t.Name), escape.Value(t.DisplayName))
			for _, f := range t.Findings {
				fmt.Fprintf(out, "#     %s: %s\n", level(f.Level), escape.Value(f.Text))
			}
		}
		for _, name := range c.Unknown {
			fmt.Fprintf(out, "#   template %s: its entry cannot be read\n", escape.Value(name))
		}
		for _, text := range c.Unreadable {
			fmt.Fprintf(out, "#   not read: %s\n", escape.Value(text))
		}
		settings := c.Settings()
		if n > 0 { // one of them is chosen
			settings = "# " + strings.ReplaceAll(strings.TrimSuffix(settings, "\n"), "\n", "\n# ") + "\n"
		}
		fmt.Fprint(out, settings)
	}
	for _, text := range survey.Unreadable {
		fmt.Fprintf(out, "# not read: %s\n", escape.Value(text))
	}
}

// why says why the portal cannot use an address.
func why(e discovery.Endpoint) string {
	switch {
	case e.RenewalOnly:
		return ": for renewals only"
	case !e.Usable():
		return ": the portal cannot sign in this way"
	}
	return ""
}

func level(l discovery.Level) string {
	switch l {
	case discovery.Critical:
		return "CRITICAL"
	case discovery.Warning:
		return "WARNING"
	}
	return "note"
}
