package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Say which version this is",
		Long:    "Version prints the version and revision of mqttx, and the Go version and system that\nit was built with and for.",
		Example: "  mqttx version",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			info, _ := debug.ReadBuildInfo()
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s\n%s %s/%s\n", describe(info), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}

// describe gives the version of the module and the revision that it was built from,
// as far as the build has recorded them; info may be nil.
func describe(info *debug.BuildInfo) string {
	version, revision, modified := "(devel)", "", ""
	if info != nil {
		if info.Main.Version != "" {
			version = info.Main.Version
		}
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				revision = s.Value
			case s.Key == "vcs.modified" && s.Value == "true":
				modified = ", modified"
			}
		}
	}
	words := []string{"mqttx", version}
	if revision != "" {
		words = append(words, "("+revision+modified+")")
	}
	return strings.Join(words, " ")
}
