//! The command line: `docs/cli.md` is what the binary says of itself, and the chart uses only flags that are there.

use std::fmt::Write as _;

use clap::CommandFactory as _;
use clinic_phone_operator::cli::Cli;

use crate::{Outcome, hold, read};

const HEAD: &str = "\
# Command line

What `clinic-phone-operator COMMAND --help` prints. Do not edit by hand: `UPDATE=1 cargo test --test it cli` writes this page.
";

#[test]
fn the_page_of_commands_is_what_the_binary_says() -> Outcome {
    let mut page = String::from(HEAD);
    let mut cli = Cli::command().term_width(100);
    cli.build();
    let mut cli = cli.mut_subcommands(|c| c.mut_args(|a| a.hide_env_values(true)));
    for command in cli.get_subcommands_mut().filter(|c| c.get_name() != "help") {
        let help = command.render_long_help().to_string();
        let help: Vec<_> = help.lines().map(str::trim_end).collect();
        write!(page, "\n## {}\n\n```text\n{}\n```\n", command.get_name(), help.join("\n").trim_end())?;
    }
    hold("docs/cli.md", &page)
}

#[test]
fn the_chart_passes_flags_that_are_there() -> Outcome {
    let cli = Cli::command();
    let run = cli.find_subcommand("run").ok_or("no run")?;
    let flags: Vec<_> = run.get_arguments().filter_map(clap::Arg::get_long).collect();
    let deployment = read("charts/clinic-phone-operator/templates/deployment.yaml")?;
    let mut used = 0;
    // Plain, or printed by the template: `- --flag=…` and `- {{ printf "--flag=…" … }}`.
    for line in deployment.lines().map(str::trim_start).filter(|l| l.starts_with("- ")) {
        let Some((_, rest)) = line.split_once("--") else { continue };
        let flag = rest.split(['=', ' ']).next().unwrap_or(rest);
        assert!(flags.contains(&flag), "the chart passes --{flag}, which `run` does not have");
        used += 1;
    }
    assert!(used > 5, "the flags of the chart were not found");
    Ok(())
}
