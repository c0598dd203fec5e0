// Mqttx is an MQTT broker, and clients to publish, subscribe and measure with.
//
//	mqttx serve     run a broker
//	mqttx pub       publish messages
//	mqttx sub       print the messages of topics
//	mqttx bench     put load on a broker and measure it
//	mqttx version   say what this is
//
// The exit code is 0 if all went well, 1 if something failed, and 2 if the command
// line was wrong: then nothing has been done.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// The exit codes.
const (
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	os.Exit(run(os.Args[1:], os.Stderr))
}

// run executes a command line and gives its exit code.
func run(args []string, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	cmd, err := root.ExecuteC()
	if err == nil {
		return 0
	}
	fmt.Fprintf(stderr, "mqttx: %v\n", err)
	var usage *usageError
	if !errors.As(err, &usage) {
		return exitFailed
	}
	fmt.Fprintf(stderr, "Run '%s --help' for help.\n", cmd.CommandPath())
	return exitUsage
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "mqttx",
		Short: "An MQTT broker, and clients to publish and subscribe with",
		Long: "Mqttx is a broker for MQTT 3.1, 3.1.1 and 5.0, and clients to publish and subscribe\n" +
			"with. Exit codes: 0 good, 1 failed, 2 wrong command line.",
		Example: "  mqttx serve &\n" +
			"  mqttx sub -t 'greetings/#' &\n" +
			"  mqttx pub -t greetings/world -m hello",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("unknown command %q", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usagef("no command: want serve, pub, sub, bench or version")
		},
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return flagError(err) })
	root.AddCommand(newServe(), newPub(), newSub(), newBench(), newVersion())
	return root
}

// noArgs is for commands that take flags only.
func noArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("unexpected argument %q", args[0])
	}
	return nil
}

// usageError is a mistake of the command line or of a file that it names.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// flagError words what is wrong with a flag. A URL with a password in it is not
// repeated.
func flagError(err error) error {
	var bad *pflag.InvalidValueError
	if !errors.As(err, &bad) {
		return &usageError{err}
	}
	if strings.Contains(bad.GetValue(), "@") && bad.GetFlag().Value.Type() == kindURL {
		return usagef("--%s: %w", bad.GetFlag().Name, bad.Unwrap())
	}
	return usagef("--%s %q: %w", bad.GetFlag().Name, bad.GetValue(), bad.Unwrap())
}

func usagef(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...)}
}
