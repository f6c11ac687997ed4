package dev.lfo.host

import android.app.ActivityManager
import android.content.ComponentCallbacks2
import android.content.Context
import android.content.Intent
import android.content.res.Configuration
import android.net.Uri
import android.os.Build
import android.os.PowerManager
import android.os.StatFs
import android.provider.Settings
import expo.modules.kotlin.modules.Module
import expo.modules.kotlin.modules.ModuleDefinition
import java.io.File
import java.io.FileInputStream
import java.security.MessageDigest
import java.util.zip.ZipInputStream

/** What the phone tells of itself and no library does, the service, and work on big files. */
class LfoHostModule : Module() {
  private val context: Context
    get() = requireNotNull(appContext.reactContext)
  private val power: PowerManager
    get() = context.getSystemService(Context.POWER_SERVICE) as PowerManager
  private var thermalListener: PowerManager.OnThermalStatusChangedListener? = null
  private val memoryListener = object : ComponentCallbacks2 {
    override fun onTrimMemory(level: Int) = sendEvent("onMemory", mapOf("level" to level))

    override fun onConfigurationChanged(configuration: Configuration) {}

    @Deprecated("Deprecated in Java")
    override fun onLowMemory() = sendEvent("onMemory", mapOf("level" to ComponentCallbacks2.TRIM_MEMORY_COMPLETE))
  }

  override fun definition() = ModuleDefinition {
    Name("LfoHost")
    Events("onThermal", "onMemory", "onStop")

    /** 0 none to 6 shut down; -1 where Android does not tell. */
    Function<Int>("thermalStatus") {
      if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.Q) power.currentThermalStatus else -1
    }
    /** 1 is where severe throttling begins; not a number where Android does not tell. */
    Function<Double>("thermalHeadroom") {
      if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.R) power.getThermalHeadroom(0).toDouble() else Double.NaN
    }
    /** Megabytes free and in all, and what this app's folder has left. */
    Function<Map<String, Double>>("memory") {
      val info = ActivityManager.MemoryInfo()
      (context.getSystemService(Context.ACTIVITY_SERVICE) as ActivityManager).getMemoryInfo(info)
      mapOf(
        "freeMb" to (info.availMem / MEGABYTE).toDouble(),
        "totalMb" to (info.totalMem / MEGABYTE).toDouble(),
        "diskFreeMb" to (StatFs(context.filesDir.path).availableBytes / MEGABYTE).toDouble(),
      )
    }
    Function<Boolean>("isUnrestricted") { power.isIgnoringBatteryOptimizations(context.packageName) }
    /** Android asks the owner whether battery optimisation is to leave the app alone. */
    Function<Unit>("askUnrestricted") {
      val question = Intent(Settings.ACTION_REQUEST_IGNORE_BATTERY_OPTIMIZATIONS, Uri.parse("package:${context.packageName}"))
      context.startActivity(question.addFlags(Intent.FLAG_ACTIVITY_NEW_TASK))
    }

    Function("show") { text: String -> HostService.show(context, text) }
    Function<Unit>("hide") { HostService.hide(context) }
    Function("setStartsOnBoot") { isOn: Boolean -> BootChoice.write(context, isOn) }

    /** SHA-256 of a file, in hex. */
    AsyncFunction("sha256") { path: String ->
      val digest = MessageDigest.getInstance("SHA-256")
      FileInputStream(path).use { input ->
        val buffer = ByteArray(1 shl 20)
        while (true) {
          val read = input.read(buffer)
          if (read < 0) break
          digest.update(buffer, 0, read)
        }
      }
      digest.digest().joinToString("") { "%02x".format(it) }
    }
    /** Unpacks an archive into a folder; an entry that points out of it fails the whole. */
    AsyncFunction("unzip") { archive: String, folder: String ->
      val target = File(folder).canonicalFile
      target.mkdirs()
      ZipInputStream(FileInputStream(archive).buffered()).use { zip ->
        while (true) {
          val entry = zip.nextEntry ?: break
          val file = File(target, entry.name).canonicalFile
          require(file.startsWith(target)) { "The archive holds a path that leaves its folder." }
          if (entry.isDirectory) file.mkdirs()
          else {
            file.parentFile?.mkdirs()
            file.outputStream().use { output -> zip.copyTo(output) }
          }
        }
      }
    }

    OnCreate { HostEvents.onStop = { sendEvent("onStop", mapOf<String, Any?>()) } }
    OnDestroy { HostEvents.onStop = null }
    OnStartObserving("onThermal") {
      if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.Q) {
        val listener = PowerManager.OnThermalStatusChangedListener { sendEvent("onThermal", mapOf("status" to it)) }
        thermalListener = listener
        power.addThermalStatusListener(listener)
      }
    }
    OnStopObserving("onThermal") {
      if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.Q) thermalListener?.let { power.removeThermalStatusListener(it) }
      thermalListener = null
    }
    OnStartObserving("onMemory") { context.registerComponentCallbacks(memoryListener) }
    OnStopObserving("onMemory") { context.unregisterComponentCallbacks(memoryListener) }
  }

  private companion object {
    const val MEGABYTE = 1_048_576L
  }
}
