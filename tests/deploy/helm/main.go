// Renders a chart as Helm does, as far as the chart of deploy/helm needs it: text/template with Sprig's functions, and
// Helm's own include, required and toYaml.
//
//	render CHART < values.json     prints one JSON object: file of templates/ -> text
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig/v3"
	"sigs.k8s.io/yaml"
)

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(folder string) error {
	var values map[string]any
	if err := json.NewDecoder(os.Stdin).Decode(&values); err != nil {
		return err
	}
	chart, err := chartOf(folder)
	if err != nil {
		return err
	}
	all, files, err := parse(folder)
	if err != nil {
		return err
	}
	context := map[string]any{
		"Values":  values,
		"Chart":   chart,
		"Release": map[string]any{"Name": "here", "Namespace": "there", "Service": "Helm"},
	}
	rendered := map[string]string{}
	for _, file := range files {
		var text bytes.Buffer
		if err := all.ExecuteTemplate(&text, file, context); err != nil {
			return err
		}
		rendered[file] = text.String()
	}
	return json.NewEncoder(os.Stdout).Encode(rendered)
}

// chartOf reads Chart.yaml; templates know its keys by Go's names of them.
func chartOf(folder string) (map[string]any, error) {
	text, err := os.ReadFile(filepath.Join(folder, "Chart.yaml"))
	if err != nil {
		return nil, err
	}
	var keys map[string]any
	if err := yaml.Unmarshal(text, &keys); err != nil {
		return nil, err
	}
	chart := map[string]any{}
	for key, value := range keys {
		chart[strings.ToUpper(key[:1])+key[1:]] = value
	}
	return chart, nil
}

// parse gives all templates, and the names of those that make objects.
func parse(folder string) (*template.Template, []string, error) {
	all := template.New("chart").Option("missingkey=zero")
	functions := sprig.TxtFuncMap()
	functions["include"] = func(name string, context any) (string, error) {
		var text bytes.Buffer
		err := all.ExecuteTemplate(&text, name, context)
		return text.String(), err
	}
	functions["required"] = func(message string, value any) (any, error) {
		if value == nil || value == "" {
			return nil, errors.New(message)
		}
		return value, nil
	}
	functions["toYaml"] = func(value any) (string, error) {
		text, err := yaml.Marshal(value)
		return strings.TrimSuffix(string(text), "\n"), err
	}
	all.Funcs(functions)
	paths, err := filepath.Glob(filepath.Join(folder, "templates", "*"))
	if err != nil {
		return nil, nil, err
	}
	var files []string
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, nil, err
		}
		name := filepath.Base(path)
		if _, err := all.New(name).Parse(string(text)); err != nil {
			return nil, nil, err
		}
		if !strings.HasPrefix(name, "_") {
			files = append(files, name)
		}
	}
	return all, files, nil
}
