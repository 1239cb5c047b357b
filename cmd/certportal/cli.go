package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"strings"
	"unicode"

	"github.com/alecthomas/kong"

	"certportal/cmd/certportal/internal/app"
	"certportal/cmd/certportal/internal/config"
	"certportal/cmd/certportal/internal/hsm"
	"certportal/internal/escape"
	"certportal/store"
)

// commands is the command line: what kong parses, and what help prints.
type commands struct {
	ConfigFile string `name:"config" placeholder:"FILE" help:"Settings file (YAML). Default: built-in settings."`
	Data       string `placeholder:"DIR" help:"Data folder, instead of the one in the settings."`

	Setup    setupCommand     `cmd:"" help:"Ask for the settings that a company needs, try them, and write them."`
	Serve    serveCommand     `cmd:"" help:"Run the portal."`
	Demo     demoCommand      `cmd:"" help:"Run the portal with sample people, to try it out."`
	CA       caCommands       `cmd:"" name:"ca" help:"The embedded CA."`
	User     userCommands     `cmd:"" help:"People of the built-in directory."`
	People   peopleCommands   `cmd:"" help:"People as the directory knows them."`
	Drift    driftCommands    `cmd:"" help:"Certificates that the directory has moved away from."`
	Audit    auditCommands    `cmd:"" help:"The audit log: verify it, export it."`
	List     listCommand      `cmd:"" help:"Find certificates or devices."`
	Revoke   revokeCommand    `cmd:"" help:"Revoke a certificate, a device, or everything of a person. For good."`
	Halt     haltCommand      `cmd:"" help:"Stop issuing, on all replicas at once. Revoking and lists go on."`
	Resume   resumeCommand    `cmd:"" help:"Let issuing go on."`
	Backup   backupCommands   `cmd:"" help:"Back up the portal while it runs, and verify backups."`
	Restore  restoreCommand   `cmd:"" help:"Restore a backup into an empty place."`
	Migrate  migrateCommand   `cmd:"" help:"Bring the database up to date, say what that would do, or move the records to another database."`
	Seed     seedCommand      `cmd:"" help:"Fill an empty database with made-up people, to try it out at its full size."`
	Doctor   doctorCommands   `cmd:"" help:"Find out what is wrong."`
	Upstream upstreamCommands `cmd:"" help:"CAs that the portal does not run."`
	Exchange exchangeCommands `cmd:"" help:"Set up Exchange."`
	Config   configCommands   `cmd:"" help:"Settings."`
	Health   healthCommand    `cmd:"" help:"Ask the portal that runs here whether it is well; for containers."`
	Version  versionCommand   `cmd:"" help:"Print the version."`
	Help     helpCommand      `cmd:"" help:"Explain a command."`

	Manual     manualCommand     `cmd:"" help:"Print the manual page, for man."`
	Completion completionCommand `cmd:"" help:"Print the script with which a shell completes commands."`
}

// invocation is what every command gets besides its own flags.
type invocation struct {
	ctx     context.Context
	io      streams
	environ map[string]string
	cli     *commands
}

// settings loads the settings of --config and the environment; --data overrides both.
func (i *invocation) settings() (*config.Settings, error) {
	return config.Load(i.cli.ConfigFile, i.settingsEnvironment())
}

// settingsEnvironment is the environment with --data in it.
func (i *invocation) settingsEnvironment() map[string]string {
	if i.cli.Data == "" {
		return i.environ
	}
	environ := maps.Clone(i.environ)
	if environ == nil {
		environ = map[string]string{}
	}
	environ["CERTPORTAL_DATA"] = i.cli.Data
	return environ
}

// again is a command for the same installation, for people to type.
func (i *invocation) again(command string) string {
	program := asAccount() + "certportal "
	switch {
	case i.cli.ConfigFile != "": // which also names the database
		return program + "--config " + i.cli.ConfigFile + " " + command
	case i.cli.Data != "":
		return program + "--data " + i.cli.Data + " " + command
	}
	return program + command
}

// asAccount is what sudo was given to run this command as the account of the service: the next
// one needs it too.
func asAccount() string {
	account := os.Getenv("USER")
	odd := func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("-_.", r)
	}
	if os.Getenv("SUDO_USER") != "" && account != "" && account != "root" && !strings.ContainsFunc(account, odd) {
		return "sudo -u " + account + " "
	}
	return ""
}

// program says to the database which program opens it.
func (i *invocation) program() app.Program {
	return app.Program{Version: version, SettingsFile: i.cli.ConfigFile}
}

func (i *invocation) terminal() *config.Terminal { return &config.Terminal{In: i.io.in, Out: i.io.err} }

// logger writes to standard error, so that output stays for scripts.
func (i *invocation) logger(s *config.Settings) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(s.LogLevel)); err != nil {
		level = slog.LevelInfo
	}
	options := &slog.HandlerOptions{Level: level}
	if s.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(i.io.err, options))
	}
	return slog.New(slog.NewTextHandler(i.io.err, options))
}

// exitRequest ends parsing after help was printed.
type exitRequest int

// run parses the command line, runs the command and returns the exit code.
func run(ctx context.Context, args []string, io streams, environ map[string]string) (code int) {
	io.err = escape.Writer{W: io.err} // the log and errors name people
	var cli commands
	parser, err := kong.New(&cli,
		kong.Name("certportal"),
		kong.Description("Self-service certificates for phones, so that mail opens without a password."),
		kong.Writers(io.out, io.err),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.UsageOnError(),
		kong.Exit(func(code int) { panic(exitRequest(code)) }),
	)
	if err != nil {
		fmt.Fprintln(io.err, "certportal:", err)
		return exitFailed
	}
	// kong prints help and then wants to exit, which only a panic can stop.
	defer func() {
		switch r := recover().(type) {
		case nil:
		case exitRequest:
			code = int(r)
		default:
			panic(r)
		}
	}()
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(io.err, "certportal: %v\nTry: certportal --help\n", err)
		return usageOf(err)
	}
	err = parsed.Run(&invocation{ctx: ctx, io: io, environ: environ, cli: &cli}, parser)
	if said := exitCode(0); errors.As(err, &said) {
		return int(said)
	}
	if err == nil || errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return exitDone
	}
	fmt.Fprintln(io.err, "certportal:", err)
	var usage usageError
	if errors.As(err, &usage) {
		return exitUsage
	}
	if errors.Is(err, store.ErrSchemaNewer) || errors.Is(err, store.ErrMoved) {
		return exitConfig
	}
	return exitFailed
}

// usageError is a command line that parses and is still invalid.
type usageError string

// Error gives the sentence.
func (e usageError) Error() string { return string(e) }

type versionCommand struct{}

// Run prints the version.
func (versionCommand) Run(i *invocation) error {
	text := "certportal " + version
	if hsm.Built {
		text += " with PKCS#11"
	}
	_, err := fmt.Fprintln(i.io.out, text)
	return err
}

type helpCommand struct {
	Command []string `arg:"" optional:"" help:"Command to explain."`
}

// Run prints what --help prints.
func (h helpCommand) Run(i *invocation, parser *kong.Kong) error {
	if _, err := parser.Parse(append(h.Command, "--help")); err != nil {
		return usageError(err.Error())
	}
	return nil
}
